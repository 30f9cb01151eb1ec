"""Evaluating Nix files into jobs, with a real Nix and a real store."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hydra_resolver.attribute_path import AttributePathError
from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.evaluation import (
    EvaluationError,
    EvaluationFailure,
    Job,
    evaluate,
    is_derivation_file,
)

Evaluate = Callable[..., list[Job | EvaluationFailure]]

PRELUDE = """
let
  drv = fields: derivation ({ name = "thing"; system = "x86_64-linux"; builder = "/bin/sh"; } // fields);
  floating = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
in
"""


@pytest.fixture
def run(nix_store: EmbeddedStore, tmp_path: Path) -> Evaluate:
    """Return a function that evaluates an expression after PRELUDE."""

    def evaluate_text(expression: str, **options: Any) -> list[Job | EvaluationFailure]:
        file = tmp_path / "jobs.nix"
        file.write_text(PRELUDE + expression)
        options = {"gc_roots": tmp_path / "roots", "env": nix_store.child_environment()} | options
        return evaluate(file, **options)

    return evaluate_text


def jobs(found: list[Job | EvaluationFailure]) -> dict[str, Job]:
    failures = [item for item in found if isinstance(item, EvaluationFailure)]
    assert failures == []
    return {job.name: job for job in found if isinstance(job, Job)}


def failures(found: list[Job | EvaluationFailure]) -> dict[str, str]:
    return {item.attribute: item.message for item in found if isinstance(item, EvaluationFailure)}


def names(found: list[Job | EvaluationFailure]) -> list[str]:
    return [job.name for job in found if isinstance(job, Job)]


def test_a_job_has_the_attributes_of_its_derivation(run: Evaluate) -> None:
    found = run(
        """{ a = drv { outputs = [ "out" "dev" ]; } // { meta = {
               description = "a thing"; license = [ { shortName = "MIT"; } "BSD" ]; homepage = "https://example.org";
               maintainers = [ { name = "A"; email = "a@example.org"; } "b@example.org" ];
               maxSilent = 10; timeout = "20"; schedulingPriority = 7; isHydraChannel = true; }; };
             b = drv floating; }"""
    )
    a, b = jobs(found).values()
    assert (a.name, a.system, a.nix_name) == ("a", "x86_64-linux", "thing")
    assert a.drv.endswith("-thing.drv")
    assert Path(a.drv).is_file()
    assert (a.description, a.license, a.homepage) == ("a thing", "MIT, BSD", "https://example.org")
    assert a.maintainers == "a@example.org, b@example.org"
    assert (a.max_silent, a.timeout, a.scheduling_priority, a.is_channel) == (10, 20, 7, True)
    assert list(a.outputs) == ["dev", "out"]
    assert all(path and path.startswith(str(Path(a.drv).parent)) for path in a.outputs.values())
    assert b.outputs == {"out": None}
    assert (b.description, b.license, b.homepage, b.maintainers) == (None, None, None, None)
    assert (b.max_silent, b.timeout, b.scheduling_priority, b.is_channel) == (None, None, 100, False)


def test_an_output_path_is_known_unless_it_depends_on_a_build(run: Evaluate) -> None:
    found = run(
        """rec { floats = drv floating; deferred = drv { input = floats; };
               fixed = drv { input = floats;
                             outputHash = builtins.hashString "sha256" ""; outputHashAlgo = "sha256"; }; }"""
    )
    known = {name: job.outputs["out"] is not None for name, job in jobs(found).items()}
    assert known == {"deferred": False, "fixed": True, "floats": False}


def test_only_sets_with_recurse_for_derivations_are_entered(run: Evaluate) -> None:
    found = run(
        """{ plain.hidden = drv { }; nothing = null; helper = x: x; needs = { argument }: argument;
             deep = { recurseForDerivations = true; deeper = { recurseForDerivations = true; job = drv { }; }; }; }"""
    )
    assert names(found) == ["deep.deeper.job"]
    assert not failures(found)


def test_a_file_with_one_derivation_is_a_job_with_the_derivations_name(run: Evaluate) -> None:
    assert names(run('drv { name = "alone-1.0"; }')) == ["alone-1.0"]


def test_an_empty_set_has_no_jobs(run: Evaluate) -> None:
    assert run("{ }") == []


def test_functions_get_the_arguments_that_they_accept(run: Evaluate) -> None:
    expression = """{ text ? "none", number ? 0, ... }@all:
      { a = { text }: drv { name = "${text}-${toString number}-${all.extra or "nothing"}"; }; }"""
    found = run(expression, args={"number": "1 + 1"}, argstrs={"text": "given", "extra": "x"})
    assert [job.nix_name for job in jobs(found).values()] == ["given-2-x"]
    assert names(run(expression)) == [], "functions below the top that can't be called are skipped"


def test_the_error_names_the_missing_argument_of_a_function(run: Evaluate) -> None:
    with pytest.raises(EvaluationError, match="without a value \\('wanted': give it with --arg"):
        run("{ wanted }: { }")


def test_attributes_can_be_selected(run: Evaluate) -> None:
    expression = """{ set = { a = drv { }; b = drv { }; }; one = { x ? 1 }: { job = drv { }; };
                      other = throw "not asked for"; }"""
    found = run(expression, attributes=["set", "one.job", "set.a"])
    assert names(found) == ["set.a", "set.b", "one.job"]
    assert not failures(found)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("nowhere", "there is no attribute 'nowhere': the file is a set of list, number, set"),
        ("set.nowhere", "there is no attribute 'set.nowhere': 'set' is a set of a"),
        ("number.deeper", "there is no attribute 'number.deeper': 'number' is an integer"),
        ("number", "'number' is an integer, neither a derivation nor a set of derivations"),
        ("list", "lists are not entered"),
    ],
)
def test_a_selected_attribute_that_cannot_be_built_fails_alone(run: Evaluate, attribute: str, message: str) -> None:
    found = run("{ set.a = drv { }; number = 1; list = [ ]; }", attributes=[attribute, "set"])
    assert message in failures(found)[attribute]
    assert names(found) == ["set.a"]


def test_a_malformed_attribute_path_is_an_error(run: Evaluate) -> None:
    with pytest.raises(AttributePathError, match="not an attribute path"):
        run("{ }", attributes=["a..b"])


def test_odd_attribute_names_are_quoted_and_can_be_selected(run: Evaluate) -> None:
    expression = r"""{ "a.b" = drv { }; "say \"hi\"" = drv { }; "with space" = drv { }; "\${x}\\" = drv { };
      "ü" = drv { }; s = { recurseForDerivations = true; "" = drv { }; }; }"""
    found = jobs(run(expression))
    assert set(found) == {'"a.b"', r'"say \"hi\""', '"with space"', r'"${x}\\"', "ü", 's.""'}
    assert set(jobs(run(expression, attributes=list(found)))) == set(found)


BAD = {
    "thrown": ('throw "thrown on purpose"', "thrown on purpose"),
    "asserted": ("assert false; drv { }", "assertion"),
    "aborted": ('abort "aborted on purpose"', "aborted on purpose"),
    "mistyped": ("drv { x = 1 + { }; }", "cannot add"),
    "missing": ("drv { x = { }.y; }", "attribute 'y' missing"),
    "endless": ("let x = x; in x", "infinite recursion"),
    "number": ("42", "'number' is an integer, neither a derivation nor a set of derivations"),
    "text": ('"text"', "'text' is a string"),
    "pretending": ('{ type = "derivation"; }', "calls itself a derivation and has no drvPath"),
    "unnamed": ("drv { name = null; }", "null"),
    "described": ('drv { } // { meta.description = throw "no words"; }', "no words"),
    "imported": ('import (drv { })', "allow-import-from-derivation"),
    "nested.thrown": ("", "thrown further down"),
    "nested.mistyped": ("", "cannot add"),
}  # fmt: skip


def test_a_failing_attribute_does_not_hide_other_attributes(run: Evaluate) -> None:
    bad = " ".join(f"{name} = {text};" for name, (text, _) in BAD.items() if text)
    nested = 'recurseForDerivations = true; ok = drv { }; thrown = throw "thrown further down"; mistyped = 1 + { };'
    found = run(f"{{ {bad} nested = {{ {nested} }}; a-good = drv {{ }}; z-good = drv {{ }}; }}")
    assert names(found) == ["a-good", "nested.ok", "z-good"]
    assert set(failures(found)) == set(BAD)
    for name, message in failures(found).items():
        assert BAD[name][1] in message
        assert "evaluation.nix" not in message
        assert "\x1b" not in message


def test_a_selected_attribute_that_throws_has_its_message(run: Evaluate) -> None:
    found = run('{ bad.x = throw "on purpose"; good = drv { }; }', attributes=["bad", "good"])
    assert "on purpose" in failures(found)["bad.x"]
    assert names(found) == ["good"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("{ a = ", "syntax error"),
        ('throw "the whole file"', "the whole file"),
        ("undefined-variable", "undefined variable"),
        ("42", "the file is an integer, neither a derivation nor a set of derivations"),
        ("null", "the file is null"),
        ("[ ]", "lists are not entered"),
    ],
)
@pytest.mark.parametrize("attributes", [[], ["a", "b"]])
def test_a_file_that_yields_no_job_set_is_an_error(
    run: Evaluate, expression: str, message: str, attributes: list[str]
) -> None:
    with pytest.raises(EvaluationError) as error:
        run(expression, attributes=attributes)
    assert message in error.value.message
    assert error.value.hint


def test_a_file_with_one_broken_derivation_is_an_error(run: Evaluate) -> None:
    with pytest.raises(EvaluationError, match="cannot add"):
        run("drv { x = 1 + { }; }")
    with pytest.raises(EvaluationError, match="no name"):
        run('drv { x = throw "no name"; }')


def test_a_missing_file_is_an_error(nix_store: EmbeddedStore, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="there is no file"):
        evaluate(tmp_path / "none.nix", gc_roots=tmp_path, env=nix_store.child_environment())


def test_an_argument_that_does_not_parse_is_an_error(run: Evaluate) -> None:
    with pytest.raises(EvaluationError, match="syntax error"):
        run("{ x ? 1 }: { }", args={"x": "1 +"})


def test_a_store_without_content_addressed_derivations_says_what_to_enable(
    run: Evaluate, nix_store: EmbeddedStore
) -> None:
    env = nix_store.child_environment() | {"NIX_CONFIG": "experimental-features = nix-command"}
    with pytest.raises(EvaluationError) as error:
        run("{ a = drv floating; b = drv { }; }", env=env)
    assert "ca-derivations is off" in error.value.message
    assert "extra-experimental-features = ca-derivations" in error.value.hint


def test_a_missing_nix_is_an_error(run: Evaluate) -> None:
    with pytest.raises(EvaluationError, match="nix-instantiate is not on PATH"):
        run("{ }", env={"PATH": "/nowhere"})


def test_an_impure_derivation_is_a_job_like_any_other(run: Evaluate) -> None:
    found = run('{ a = drv { __impure = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; }; }')
    assert jobs(found)["a"].outputs == {"out": None}


def collect_garbage(env: dict[str, str]) -> None:
    subprocess.run(["nix-store", "--gc"], env=env, check=True, capture_output=True)


def test_the_collector_takes_no_derivation_after_its_evaluation(
    run: Evaluate, nix_store: EmbeddedStore, tmp_path: Path
) -> None:
    found = jobs(
        run(
            """rec { leaf = drv floating; top = drv (floating // { inherit leaf; });
                   two = drv { outputs = [ "out" "x" ]; }; }"""
        )
    )
    collect_garbage(nix_store.child_environment())
    assert all(Path(job.drv).is_file() for job in found.values())
    links = list((tmp_path / "roots").iterdir())
    assert {str(link.readlink()) for link in links} == {job.drv for job in found.values()}
    for link in links:
        link.unlink()
    collect_garbage(nix_store.child_environment())
    assert not any(Path(job.drv).exists() for job in found.values())


def test_a_derivation_that_the_collector_takes_before_it_is_rooted_is_written_again(
    run: Evaluate, nix_store: EmbeddedStore
) -> None:
    steps = []

    def collect(step: str) -> None:
        steps.append(step)
        if step.startswith("rooting"):
            collect_garbage(nix_store.child_environment())

    found = jobs(run("{ a = drv floating; b = drv { }; }", on_progress=collect))
    assert any("again" in step for step in steps)
    collect_garbage(nix_store.child_environment())
    assert all(Path(job.drv).is_file() for job in found.values())


def test_an_evaluation_of_many_jobs_starts_few_processes(run: Evaluate) -> None:
    steps: list[str] = []
    names_of = 'builtins.genList (n: { name = "job-${toString n}"; value = drv (floating // { inherit n; }); }) 401'
    found = jobs(run(f"builtins.listToAttrs ({names_of})", on_progress=steps.append))
    assert len(found) == 401
    assert steps == ["evaluating jobs.nix", "rooting 401 derivations"]


def test_a_directory_for_roots_that_cannot_be_written_is_an_error(run: Evaluate) -> None:
    with pytest.raises(EvaluationError, match="create roots for the derivations"):
        run("{ a = drv { }; }", gc_roots=Path("/proc/roots"))


def test_derivation_files_are_recognised_by_their_names() -> None:
    assert is_derivation_file(Path("/store/x.drv"))
    assert not is_derivation_file(Path("drv.nix"))
