"""Hydra's rows about outputs that a real Nix built, even if their content is hostile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.nix.closure import InvalidPath, PathInfos
from hydra_resolver.nix.store import Store
from hydra_resolver.outputs import ENTRY_LIMIT, FILE_LIMIT, NAME_LIMIT, inspect_outputs

from ..support.building import Builder

Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def builder(nix_store: EmbeddedStore, tmp_path: Path) -> Builder:
    return Builder(nix_store, tmp_path)


@pytest.fixture
def inspect(builder: Builder) -> Inspect:
    """Return a function that builds a script, which finds $out/nix-support, and inspects its outputs."""

    def build(script: str, attributes: str = "{ }", prepare: str = "mkdir -p $out/nix-support\n") -> dict[str, Any]:
        return look(builder.store, builder.outputs("set -e\n" + prepare + script, attributes))

    return build


def look(store: Store, outputs: dict[str, str]) -> dict[str, Any]:
    with store.connect() as client:
        found = inspect_outputs(store, PathInfos(client), outputs)
    text = json.dumps(found, allow_nan=False)
    assert "\\u0000" not in text
    assert "\\ud" not in text
    return dict(json.loads(text))


def products(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(product["type"], product["subtype"], product["name"]) for product in found["products"]]


def metrics(found: dict[str, Any]) -> list[tuple[str, float, str | None]]:
    return [(metric["name"], metric["value"], metric["unit"]) for metric in found["metrics"]]


PRODUCTS = "$out/nix-support/hydra-build-products"
METRICS = "$out/nix-support/hydra-metrics"


def test_an_output_without_files_of_hydra_is_one_product(builder: Builder) -> None:
    outputs = builder.outputs("mkdir $out; echo > $out/file")
    found = look(builder.store, outputs)
    product = {
        "type": "nix-build",
        "subtype": "",
        "file_size": None,
        "sha256": None,
        "path": builder.store.full_path(outputs["out"]),
        "name": "thing",
        "default_path": "",
    }
    nar_size = found["size"]
    assert nar_size > 0
    assert found == {
        "size": nar_size,
        "closure_size": nar_size,
        "release_name": None,
        "failed": False,
        "products": [product],
        "metrics": [],
    }


def test_only_directories_are_products_without_being_listed(inspect: Inspect) -> None:
    found = inspect("mkdir $dev; echo > $out; ln -s nowhere $lib", '{ outputs = [ "out" "lib" "dev" ]; }', "")
    assert products(found) == [("nix-build", "dev", "thing-dev")]


def test_sizes_are_sums_over_the_outputs_and_their_closures(builder: Builder) -> None:
    outputs = builder.outputs(
        "mkdir $out $lib; echo $lib > $out/lib; head -c 10000 /dev/zero > $lib/zero", '{ outputs = [ "out" "lib" ]; }'
    )
    with builder.store.connect() as client:
        sizes = {name: PathInfos(client).get(path).nar_size for name, path in outputs.items()}
    found = look(builder.store, outputs)
    assert found["size"] == sizes["out"] + sizes["lib"]
    assert found["closure_size"] == sizes["out"] + 2 * sizes["lib"]


def test_products_are_read_with_size_hash_and_entry_point(inspect: Inspect) -> None:
    found = inspect(
        f"""
        mkdir $out/doc; echo page > $out/doc/index.html; printf 12345 > "$out/a file"; : > $out/empty
        cat > {PRODUCTS} <<EOF
        doc manual $out/doc index.html
        file   binary-dist	"$out/a file"
        file none $out/empty
        report all $out
EOF
        """
    )
    assert products(found) == [
        ("doc", "manual", "doc"),
        ("file", "binary-dist", "a file"),
        ("file", "none", "empty"),
        ("report", "all", ""),
    ]
    directory, file, empty, whole = found["products"]
    assert directory["default_path"] == "index.html"
    assert (directory["file_size"], directory["sha256"]) == (None, None)
    assert file["path"] == whole["path"] + "/a file"
    assert (file["file_size"], file["sha256"], file["default_path"]) == (5, sha256(b"12345").hexdigest(), "")
    assert (empty["file_size"], empty["sha256"]) == (0, sha256(b"").hexdigest())


def test_products_of_several_outputs_are_in_the_order_of_the_outputs_names(inspect: Inspect) -> None:
    found = inspect(
        f"mkdir -p $dev/nix-support $lib; echo file b $out > {PRODUCTS}; echo file a $dev > "
        "$dev/nix-support/hydra-build-products",
        '{ outputs = [ "out" "lib" "dev" ]; }',
    )
    assert [product["subtype"] for product in found["products"]] == ["a", "b"]


def test_a_products_file_without_a_valid_line_means_no_products(inspect: Inspect) -> None:
    assert inspect(f": > {PRODUCTS}")["products"] == []


@pytest.mark.parametrize(
    "line",
    [
        "file",
        "file x",
        "file x $out/nothing",
        "file x out",
        "file x $out/file index.html more",
        "file/ x $out/file",
        "file x $out/<file>",
        'file x "$out/file',
        'file x ""',
        "file x $out/f\\000ile",
        "file x $out/f\\377ile",
        "file x $out/file \\377",
        "file x /etc/passwd",
        "file x $out/../../../../../../../../../../../etc/passwd",
        "file x $NIX_STORE",
        "file x $NIX_STORE/",
        "file x $out/..",
        "file x $NIX_STORE/.links",
        "file x $NIX_STORE/../var/db/db.sqlite",
        "file x $out/passwd",
        "file x $out/etc/passwd",
        "file x $out/up/passwd",
        "file x $out/loop",
        "file x $out/loop/file",
        "file x $out/file/file",
        "file x $out/store",
        "file x $out/elsewhere",
        "file x $(head -c 300 /dev/zero | tr '\\000' x)",
        "file x $out/$(head -c 300 /dev/zero | tr '\\000' x)",
        "file x $out/$(head -c 9000 /dev/zero | tr '\\000' /)file",
    ],
)
def test_a_product_line_that_names_no_file_of_the_closure_is_skipped(inspect: Inspect, line: str) -> None:
    found = inspect(
        f"""
        echo > $out/file
        ln -s /etc/passwd $out/passwd; ln -s /etc $out/etc; ln -s loop $out/loop; ln -s .. $out/store
        ln -s ../../../../../../../../../../../../etc $out/up
        ln -s "$(echo $out | sed 's,[^/][^/]*/,x/,g')/file" $out/elsewhere
        {{ printf '%b\\n' "{line.replace('"', chr(92) + '"')}"; echo "file good $out/file"; }} > {PRODUCTS}
        """
    )
    assert products(found) == [("file", "good", "file")]


def test_links_within_the_closure_are_followed(inspect: Inspect) -> None:
    found = inspect(
        f"""
        mkdir -p $lib/deep; printf 123 > $lib/deep/file
        ln -s $lib/deep $out/absolute
        ln -s ../"$(basename $lib)"/./deep//file $out/relative
        for name in absolute/file relative absolute; do echo "file x $out/$name" >> {PRODUCTS}; done
        """,
        '{ outputs = [ "out" "lib" ]; }',
    )
    digest = sha256(b"123").hexdigest()
    assert [(p["name"], p["file_size"], p["sha256"]) for p in found["products"]] == [
        ("file", 3, digest),
        ("relative", 3, digest),
        ("absolute", None, None),
    ]
    assert all("/deep" not in product["path"] for product in found["products"])


def test_a_valid_path_outside_of_the_closure_is_not_a_product(builder: Builder) -> None:
    other = builder.store.full_path(builder.outputs("echo secret > $out")["out"])
    reader = "unsafeDiscardReferences.out = true; __structuredAttrs = true;"
    outputs = builder.outputs(
        f". ./.attrs.sh; out=${{outputs[out]}}; mkdir -p $out/nix-support; echo file x {other} > {PRODUCTS}",
        f'{{ {reader} builder = "/bin/bash"; }}',
    )
    assert look(builder.store, outputs)["products"] == []


def test_names_that_hydra_does_not_show_are_left_empty(inspect: Inspect) -> None:
    found = inspect(f"echo > $out/a%b; echo file x $out/a%b > {PRODUCTS}")
    assert products(found) == [("file", "x", "")]
    assert found["products"][0]["path"].endswith("/a%b")


def test_metrics_are_read_and_malformed_lines_are_skipped(inspect: Inspect) -> None:
    found = inspect(
        f"""printf '%b' '
size 17 bytes
  time.build\\t0.25   s  and more
percent -1e3 %
test.py::test_a[1] +.5
unit 1 s/op
twice 1
twice 2 s
alone
 bad/name 1
word one
infinite inf
negative -inf
nothing nan
huge 1e400
tiny 1e-400
under 1_0
hex 0x10
half 1.5x
nul\\000 1
nul 1\\000
\\377 1
value \\377
arabic \\0331
badunit 1 \\377
carriage 2 s\\r
last 3' > {METRICS}
        """
    )
    assert metrics(found) == [
        ("size", 17.0, "bytes"),
        ("time.build", 0.25, "s"),
        ("percent", -1000.0, "%"),
        ("test.py::test_a[1]", 0.5, None),
        ("unit", 1.0, None),
        ("twice", 2.0, "s"),
        ("tiny", 0.0, None),
        ("badunit", 1.0, None),
        ("carriage", 2.0, "s"),
        ("last", 3.0, None),
    ]


def test_the_last_valid_release_name_is_used_without_its_blanks(inspect: Inspect) -> None:
    script = """
    mkdir -p $dev/nix-support $bin/nix-support
    printf '\\n demo-1.0_a:b@c \\n' > $dev/nix-support/hydra-release-name
    echo earlier > $bin/nix-support/hydra-release-name
    echo 'not a name' > $out/nix-support/hydra-release-name
    """
    assert inspect(script, '{ outputs = [ "out" "dev" "bin" ]; }')["release_name"] == "demo-1.0_a:b@c"


@pytest.mark.parametrize("content", ["", "a b", "a\\nb", "a\\000", "\\377", "ä", "x" * (NAME_LIMIT + 1)])
def test_a_malformed_release_name_is_skipped(inspect: Inspect, content: str) -> None:
    assert inspect(f"printf '{content}' > $out/nix-support/hydra-release-name")["release_name"] is None


@pytest.mark.parametrize("make", [": >", "mkdir", "ln -s /nowhere"])
def test_a_build_fails_if_an_output_has_a_file_named_failed(inspect: Inspect, make: str) -> None:
    assert inspect(f"mkdir -p $lib/nix-support; {make} $lib/nix-support/failed", '{ outputs = [ "out" "lib" ]; }')[
        "failed"
    ]


def test_nix_support_may_be_a_link_to_another_output(inspect: Inspect) -> None:
    found = inspect(
        """
        mkdir -p $lib $out; ln -s $lib $out/nix-support
        : > $lib/failed; echo name > $lib/hydra-release-name; echo m 1 > $lib/hydra-metrics
        echo file x $lib > $lib/hydra-build-products
        """,
        '{ outputs = [ "out" "lib" ]; }',
        prepare="",
    )
    assert (found["failed"], found["release_name"], metrics(found)) == (True, "name", [("m", 1.0, None)])
    assert products(found) == [("file", "x", "")]


@pytest.mark.parametrize("target", ["$place", "../../../../../../../../../../../../$place"])
def test_nix_support_may_not_be_a_link_out_of_the_store(inspect: Inspect, tmp_path: Path, target: str) -> None:
    place = tmp_path / "outside"
    place.mkdir()
    (place / "failed").touch()
    (place / "hydra-release-name").write_text("secret")
    (place / "hydra-metrics").write_text("secret 1")
    (place / "hydra-build-products").write_text("")
    for script in (
        f"mkdir $out; place={place}; ln -s {target} $out/nix-support",
        f"mkdir -p $out/nix-support; cd $out/nix-support; for f in {place}/*; do ln -s $f; done; rm failed",
    ):
        found = inspect(script, prepare="")
        assert (found["failed"], found["release_name"], found["metrics"]) == (False, None, [])
        assert products(found) == [("nix-build", "", "thing")]


def test_directories_in_the_place_of_files_are_ignored(inspect: Inspect) -> None:
    found = inspect("cd $out/nix-support; mkdir hydra-build-products hydra-metrics hydra-release-name")
    assert (found["failed"], found["release_name"], found["metrics"]) == (False, None, [])
    assert products(found) == [("nix-build", "", "thing")]


@pytest.mark.parametrize("make", ["echo > $out", "ln -s /etc $out", "mkdir $out; echo > $out/nix-support"])
def test_a_nix_support_that_is_not_a_directory_is_ignored(inspect: Inspect, make: str) -> None:
    found = inspect(make, prepare="")
    assert (found["failed"], found["release_name"], found["metrics"]) == (False, None, [])


def test_only_the_beginning_of_a_huge_file_is_read(inspect: Inspect) -> None:
    found = inspect(
        f"""
        {{ echo first 1; head -c {FILE_LIMIT - 20} /dev/zero | tr '\\000' x; echo; echo cut 123456789; }} > {METRICS}
        {{ echo "file first $out"; yes "file other $out/nix-support" | head -c {FILE_LIMIT * 2}; }} > {PRODUCTS}
        """
    )
    assert metrics(found) == [("first", 1.0, None)]
    assert len(found["products"]) == ENTRY_LIMIT
    assert products(found)[:2] == [("file", "first", ""), ("file", "other", "nix-support")]


def test_metrics_beyond_the_limit_are_skipped(inspect: Inspect) -> None:
    found = inspect(
        f"i=0; while [ $i -lt {ENTRY_LIMIT + 10} ]; do i=$((i + 1)); echo m$i $i; done > {METRICS}\n"
        f"echo m1 7 >> {METRICS}"
    )
    assert len(found["metrics"]) == ENTRY_LIMIT
    assert metrics(found)[0] == ("m1", 7.0, None)


def test_an_unreadable_file_is_treated_as_missing(builder: Builder) -> None:
    outputs = builder.outputs(
        f"mkdir -p $out/nix-support; echo > $out/a; echo file x $out/a > {PRODUCTS}; echo m 1 > {METRICS}"
    )
    assert len(look(builder.store, outputs)["products"]) == 1
    real = builder.store.real_path(outputs["out"])
    for directory in (real, real / "nix-support"):
        directory.chmod(0o755)
    (real / "a").unlink()
    (real / "nix-support" / "hydra-metrics").unlink()
    found = look(builder.store, outputs)
    assert (found["products"], found["metrics"]) == ([], [])


def test_inspecting_an_invalid_output_is_an_error(builder: Builder) -> None:
    with builder.store.connect() as client, pytest.raises(InvalidPath):
        inspect_outputs(builder.store, PathInfos(client), {"out": "a" * 32 + "-thing"})


def test_outputs_of_a_store_in_another_place_are_found_there(builder: Builder, tmp_path: Path) -> None:
    """Paths in files and links begin with the store directory, not with the place of the files."""
    env = {name: value for name, value in builder.store.env.items() if not name.startswith("NIX_STORE")}
    env |= {"NIX_CONF_DIR": str(tmp_path), "NIX_REMOTE": ""}
    store = Store(f"local?root={tmp_path / 'root'}", env)
    tree = tmp_path / "thing" / "real-support"
    tree.mkdir(parents=True)
    (tree / "hydra-release-name").write_text("elsewhere")
    (tree.parent / "nix-support").symlink_to("./real-support")
    done = subprocess.run(
        ["nix-store", *store.arguments, "--add", str(tree.parent)], env=env, check=True, capture_output=True, text=True
    )
    path = done.stdout.strip()
    assert path.startswith("/nix/store/")
    found = look(store, {"out": path.rpartition("/")[2]})
    assert found["release_name"] == "elsewhere"
    assert [product["path"] for product in found["products"]] == [path]
