"""Fences and locks in sql/functions: what the mutations take away, one at a time, and the test that is expected to notice."""

from __future__ import annotations

from typing import NamedTuple


class Fence(NamedTuple):
    """Text of a function's file that keeps something out, what it is replaced by, and who notices."""

    file: str  # below sql/functions, without .sql
    old: str  # exactly once in the file
    new: str
    killer: str  # a file of sql_tests, or a spec of sql_tests/isolation


LOCKS = {
    "build/fail_steps": "everyone_waits.spec",
    "build/finish_steps": "everyone_waits.spec",
    "builds/end_builds": "everyone_waits.spec",
    "builds/enqueue": "everyone_waits.spec",
    "builds/sync_builds": "everyone_waits.spec",
    "common/verify_owners": "everyone_waits.spec",
    "fleet/advance": "everyone_waits.spec",
    "fleet/claim_builds": "everyone_waits.spec",
    "fleet/register_worker": "everyone_waits.spec",
    "fleet/release_claims": "everyone_waits.spec",
    "fleet/release_other_claims": "everyone_waits.spec",
    "fleet/sweep": "everyone_waits.spec",
    "fleet/worker_left": "everyone_waits.spec",
    "history/keep_history": "everyone_waits.spec",
    "load/register_derivations": "everyone_waits.spec",
    "load/register_local_outputs": "everyone_waits.spec",
    "load/withdraw_outputs": "everyone_waits.spec",
    "resolve/set_resolved_to": "everyone_waits.spec",
    "trace/prune": "everyone_waits.spec",
}
"""Every file that takes the graph lock."""

FENCES = [
    # The graph lock.
    Fence("common/lock_graph", "current_setting('transaction_isolation') <> 'read committed'", "false", "lock_graph.spec"),
    Fence("common/lock_graph", "    perform from resolver.writer for update;\n", "", "everyone_waits.spec"),
    Fence("common/lock_graph", "    set lock_timeout = '30s'\n", "", "lock_graph.sql"),
    Fence("common/lock_graph", "set_config('idle_in_transaction_session_timeout', '5s', true)", "0", "lock_graph.sql"),
    # Reports: the lease.
    Fence("common/open_reports", "l.lease is null or l.verb <> p_verb", "l.verb <> p_verb", "set_resolved_to.sql"),
    Fence("common/open_reports", "l.lease is null or l.verb <> p_verb", "l.lease is null", "leases.sql"),
    Fence("common/open_reports", "l.closed is null and e.copy = 1", "e.copy = 1", "fail_steps.sql"),
    Fence("common/open_reports", "l.closed is null and e.copy = 1", "l.closed is null", "register_derivations.sql"),
    Fence("common/open_reports", "when l.closed is null and e.digest = e.first_digest then 'already'", "", "register_derivations.sql"),
    Fence("common/open_reports", "when l.closed is null then 'refused'", "", "finish_steps.sql"),
    Fence("common/open_reports", "when l.digest = e.digest then 'already'", "", "fail_steps.sql"),
    Fence("common/open_reports", "when l.digest is null then 'lease_lost'", "", "register_derivations.sql"),
    # Reports: what they say.
    Fence("load/register_derivations", "when r.outcome = 'open' and d.drv = r.body ->> 'drv' then r.body", "when r.outcome = 'open' then r.body", "register_derivations.sql"),
    Fence("load/register_derivations", "when r.outcome = 'open' and d.drv is distinct from r.body ->> 'drv' then 'refused'", "", "register_derivations.sql"),
    Fence("load/register_derivations", "where e.report ->> 'lease' is not null", "where true", "register_derivations.sql"),
    Fence("resolve/judge_resolutions", "where n.path is distinct from s.path or n.path is null", "where false", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "where n.path is distinct from s.path or n.path is null", "where n.path is distinct from s.path", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "              full join sampled s on", "              left join sampled s on", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "              full join sampled s on", "              right join sampled s on", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "and o.valid_since is not null\n             where r.outcome = 'open' and not r.body ? 'failed'", "\n             where r.outcome = 'open' and not r.body ? 'failed'", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "when r.outcome <> 'open' then r.outcome", "", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "when not r.body ?| array['failed', 'resolved'] then 'refused'", "", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "when u.outputs is not null then 'confirm'", "", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "and v.path = o.path and v.valid", "and v.valid", "set_resolved_to.sql"),
    Fence("resolve/judge_resolutions", "and v.path = o.path and v.valid", "and v.path = o.path", "set_resolved_to.sql"),
    Fence("build/finish_steps", "when r.outcome <> 'open' then r.outcome ", "", "finish_steps.sql"),
    Fence("build/finish_steps", "else 'refused' end", "else 'done' end", "finish_steps.sql"),
    Fence("build/fail_steps", "when r.outcome <> 'open' then r.outcome", "", "fail_steps.sql"),
    Fence("build/fail_steps", "when b.detail is not null then 'refused'", "", "fail_steps.sql"),
    Fence("build/fail_steps", "when r.body ->> 'class' = 'transient' and s.tries < 4 then 'retried'", "when r.body ->> 'class' = 'transient' then 'retried'", "fail_steps.sql"),
    # What was read ahead, and claimed by nobody.
    Fence("load/reports_read_ahead", "s.stage = 'unloaded' and s.lease is null", "s.stage = 'unloaded'", "register_derivations.sql"),
    Fence("load/reports_read_ahead", "s.stage = 'unloaded' and s.lease is null", "s.lease is null", "register_derivations.sql"),
    Fence("load/reports_read_ahead", " and s.owner is not null", "", "register_derivations.sql"),
    Fence("load/reports_read_ahead", "           and d.kind is null\n", "", "register_derivations.sql"),
    Fence("load/reports_read_ahead", "           and not exists (select from resolver.goal g where g.root = s.derivation and g.ended is null)\n", "", "register_derivations.sql"),
    Fence("load/reports_read_ahead", "for update of s skip locked", "for update of s", "ahead_and_claim.spec"),
    # Claims.
    Fence("fleet/claim_derivations", "w.worker = p_worker and w.gone is null", "w.worker = p_worker", "sweep.sql"),
    Fence("fleet/claim_builds", "    if not found then\n        return;\n    end if;\n", "", "claim_and_sweep.spec"),
    Fence("fleet/claim_builds", "where s.stage = 'buildable' and s.owner is not null\n               and (s.not_before", "where s.stage = 'buildable'\n               and (s.not_before", "claim_derivations.sql"),
    Fence("fleet/claim_builds", "               and (s.not_before is null or s.not_before <= v_now)\n", "", "fail_steps.sql"),
    Fence("fleet/claim_builds", "d.features <@ v_worker.features", "true", "claim_derivations.sql"),
    Fence("fleet/claim_builds", "where x.stepnr is not null", "where true", "deleted_build_claims.spec"),
    Fence("fleet/claim_graph_work", "s.stage = 'unloaded' and s.lease is null and", "s.stage = 'unloaded' and", "claim_load.spec"),
    Fence("fleet/claim_graph_work", "s.stage = 'resolvable' and s.lease is null and", "s.stage = 'resolvable' and", "claim_resolve.spec"),
    Fence("fleet/claim_graph_work", "s.stage = 'unloaded' and s.lease is null and s.owner is not null", "s.stage = 'unloaded' and s.lease is null", "withdraw_outputs.sql"),
    Fence("fleet/claim_graph_work", "s.stage = 'resolvable' and s.lease is null and s.owner is not null", "s.stage = 'resolvable' and s.lease is null", "claim_derivations.sql"),
    Fence("fleet/start_steps", "s.type = 0 and s.busy = 0 and s.status = 3", "s.type = 0 and s.busy = 0", "restart_build.sql"),
    Fence("fleet/start_steps", "s.type = 0 and s.busy = 0 and s.status = 3", "false", "sweep.sql"),
    Fence("common/verify_owners", "           and not exists (select from resolver.goal g where g.build = s.owner and g.ended is null);\n    end loop", ";\n    end loop", "owner_and_want.spec"),
    # Claims that end without a report.
    Fence("fleet/heartbeat", "w.worker = p_worker and w.gone is null", "w.worker = p_worker", "sweep.sql"),
    Fence("fleet/heartbeat", "           and resolver.find_owner(l.derivation) is null;", ";", "heartbeat.sql"),
    Fence("fleet/release_claims", "l.worker = p_worker and l.closed is null", "l.closed is null", "worker_left.sql"),
    Fence("fleet/release_claims", "l.worker = p_worker and l.closed is null", "l.worker = p_worker", "worker_left.sql"),
    Fence("fleet/release_other_claims", "l.worker = p_worker and l.verb = p_verb", "l.verb = p_verb", "worker_left.sql"),
    Fence("fleet/release_other_claims", "l.worker = p_worker and l.verb = p_verb", "l.worker = p_worker", "worker_left.sql"),
    Fence("fleet/release_other_claims", " and l.lease <> all (p_held)", "", "worker_left.sql"),
    Fence("fleet/worker_left", "l.worker = p_worker and l.closed is null", "l.closed is null", "worker_left.sql"),
    Fence("fleet/sweep", "     where w.gone is null and w.heartbeat < v_now - resolver.lease_time();\n", "     where w.heartbeat < v_now - resolver.lease_time();\n", "sweep.sql"),
    Fence("fleet/sweep", "     where w.gone is null and w.heartbeat < v_now - resolver.lease_time();\n", "     where w.gone is null;\n", "beat_and_sweep.spec"),
    Fence("fleet/sweep", "l.deadline < v_now or l.worker in", "l.worker in", "sweep.sql"),
    Fence("common/end_claims", "l.derivation = any (p_derivations) and l.closed is null", "l.derivation = any (p_derivations)", "leases.sql"),
    Fence("common/settle", "           and (s.stage <> 'unloaded' or s.lease is null)\n", "", "claim_load_and_resolve.spec"),
    # Outputs: the first valid path is served.
    Fence("build/record_built", "and o.name = x.name and o.valid_since is null", "and o.name = x.name", "finish_steps.sql"),
    Fence("load/record_outputs", "and o.name = v.name and o.valid_since is null", "and o.name = v.name", "coherence.sql"),
    Fence("load/record_outputs", "excluded.path is not null and o.valid_since is null", "excluded.path is not null", "coherence.sql"),
    Fence("load/record_outputs", " and excluded.path is not null", "", "register_derivations.sql"),
    Fence("common/realise", "and f.valid_since is null", "", "finish_steps.sql"),
    Fence("resolve/register_resolved", "when s.stage = 'building' or s.stage = 'buildable'", "when s.stage = 'buildable'", "leases.sql"),
    Fence("load/register_local_outputs", "and s.stage not in ('building', 'failed')", "", "register_local_outputs.sql"),
    Fence("load/register_local_outputs", " and d.kind is not null", "", "register_local_outputs.sql"),
    Fence("load/lose_outputs", "and s.stage = 'realised'\n       and exists", "and exists", "withdraw_outputs.sql"),
    Fence("load/lose_outputs", "s.stage in ('resolvable', 'buildable', 'resolved')", "s.stage in ('resolvable', 'buildable', 'resolved', 'building')", "withdraw_outputs.sql"),
    Fence("load/lose_outputs", "s.stage in ('resolvable', 'buildable', 'resolved')", "s.stage in ('resolvable', 'buildable')", "withdraw_outputs.sql"),
    # Hydra's rows: what ended stays as it ended, and nobody waits for them.
    Fence("builds/record_end", "where b.id = p_build and b.finished = 0", "where b.id = p_build", "sync_builds.sql"),
    Fence("builds/record_ends", "for update of b skip locked", "for update of b", "held_build.spec"),
    Fence("builds/record_ends", "n.what = 'finished' for update skip locked", "n.what = 'finished' for update", "held_other.spec"),
    Fence("builds/record_ends", "           and (b.finished = 1 or resolver.base_name(b.drvPath) = d.drv)\n", "", "sync_builds.sql"),
    Fence("builds/cancel_build", "where b.id = p_build and b.finished = 0", "where b.id = p_build", "cancel_build.sql"),
    Fence("builds/restart_build", "where b.id = p_build and b.finished = 1", "where b.id = p_build", "restart_build.sql"),
    Fence("builds/open_goals", "where b.id = any (p_builds) and b.finished = 0", "where b.id = any (p_builds)", "sync_builds.sql"),
    Fence("builds/open_goals", "case when g.recorded is not null or g.root <> excluded.root then excluded.opened else g.opened end", "excluded.opened", "sync_builds.sql"),
    Fence("builds/sync_builds", "unnest('{false,true}'::boolean[])", "unnest('{true}'::boolean[])", "nobody_waits.spec"),
    Fence("common/realise", "where g.root = e.derivation and g.ended is null and e.info is not null", "where g.root = e.derivation and e.info is not null", "restart_build.sql"),
    Fence("common/reach_dependents", "where g.root = any (p_derivations) and g.ended is null", "where g.root = any (p_derivations)", "restart_build.sql"),
    Fence("common/free_steps", "for no key update of s skip locked", "for no key update of s", "deleted_build_finish.spec"),
    Fence("common/record_steps", "for key share skip locked", "for key share", "deleted_build_claims.spec"),
    Fence("common/record_steps", "         where s.build = any (v_builds)\n", "", "deleted_build_claims.spec"),
]  # fmt: skip
