"""Training a run: what ``gmkit train`` does, from Python.

>>> import gmkit
>>> run = gmkit.train(domain="molecules", model="vae")
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from gmkit.errors import ConfigError, Interrupted
from gmkit.metrics.evaluation import Evaluation
from gmkit.observer import Observer
from gmkit.run import Run
from gmkit.training.pool import ConditionPool
from gmkit.training.request import requested
from gmkit.training.resolve import Resolved, resolve
from gmkit.training.session import Session, resume_session, start_session

SHOWN = 100
"""Samples kept in the run's folder for people to look at."""


def train(
    *,
    domain: str = "",
    model: str = "",
    data: Any = None,
    column: str = "",
    condition: str | Iterable[str] = (),
    size: Literal["auto", "tiny", "small", "base"] | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | Iterable[str] = (),
    seed: int | None = None,
    time_budget: float | str | None = None,
    device: str | None = None,
    precision: str | None = None,
    strict: bool | None = None,
    resume: bool = False,
    look: bool = True,
    observer: Observer | None = None,
) -> Run:
    """Train a model and return its finished run.

    ``data``: a path, a data set's name, an Arrow table or anything with Arrow's C interface
    (pandas, polars), a list of the domain's records; None: the domain's embedded default.
    ``condition``: columns whose values samples can be asked for, ``["qed", "logp"]``.
    ``size``: of the networks; default: what the domain finds suitable.
    ``settings``: nested options or ``["family.latent=32"]``. ``time_budget``: seconds or "5m".
    ``resume``: go on with the unfinished run in ``out``; no option but ``data`` may then
    be given. ``look``: draw samples and quick figures for people to look at, of which a run that is
    used at once and thrown away needs none. Raises GmkitError's subclasses; Interrupted after
    Ctrl-C, with the work saved.
    """
    began = time.monotonic()
    watcher = observer or Observer()
    options: dict[str, Any] = {
        "domain": domain,
        "model": model,
        "column": column,
        "condition": condition if isinstance(condition, str) else list(condition),
        "size": size,
        "config": config,
        "settings": settings,
        "seed": seed,
        "time_budget": time_budget,
        "device": device,
        "precision": precision,
        "strict": strict,
    }
    try:
        if resume:
            session = resume_session(_resumable(out, options), data, watcher)
        else:
            session = start_session(plan(data=data, **options), data, out, watcher, began)
        return _through(session, look)
    finally:
        watcher.close()


def _resumable(out: str | Path | None, options: Mapping[str, Any]) -> Path:
    """The run to go on with. Raises ConfigError when none, or any option, was given."""
    if out is None:
        raise ConfigError("resume needs the folder of a run", hint="Give out=FOLDER.")
    given = [name for name, value in options.items() if value not in (None, "", (), {}, [])]
    if given:
        raise ConfigError(
            f"a run goes on with its own options; not allowed beside resume: {', '.join(given)}",
            hint=f"Leave them out, or train another run: --config {Path(out) / 'config.toml'}",
        )
    return Path(out)


def _through(session: Session, look: bool) -> Run:
    """Train and complete the run; a signal that training did not catch is told like one it did."""
    try:
        session.fit()
        return finish(session, look)
    except (KeyboardInterrupt, Interrupted) as stop:
        if isinstance(stop, Interrupted) and stop.hint:
            raise
        number = stop.exit_code - 128 if isinstance(stop, Interrupted) else signal.SIGINT
        raise Interrupted(
            f"stopped; {session.folder} is not finished",
            signal=number,
            hint=f"Go on with: gmkit train --resume {session.folder}",
        ) from stop


def plan(**options: Any) -> Resolved:
    """The whole configuration that ``train`` with these arguments would use."""
    return resolve(requested(**options))


def finish(session: Session, look: bool = True) -> Run:
    """Complete the run's folder: samples, quick figures, card, manifest; then load it as a user
    would."""
    run = Run(
        session.folder,
        session.resolved.config,
        session.resolved.domain,
        session.codec,
        session.family,
        session.dataset,
        ConditionPool.of_training(session.codec, session.dataset, session.resolved.config.seed),
    )
    if look:
        result = run.evaluate(quick=True, save=False, observer=session.observer)
        session.complete(run.sample(SHOWN), result)
    else:
        session.complete(None, Evaluation({}))
    return run
