"""Errors as users see them: one sentence or two, no traceback, exit status 2."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
import psycopg

from ..attribute_path import AttributePathError
from ..database.errors import DatabaseError, ReadOnlyError, is_transient
from ..embedded.errors import EmbeddedError
from ..evaluation import EvaluationError
from ..nix.derivation import DerivationError
from ..nix.errors import StoreError
from ..nix.store_path import InvalidStorePath


class CouldNotRun(click.ClickException):
    """The command could not do its work at all."""

    exit_code = 2


_FOR_PEOPLE = (
    AttributePathError,
    DatabaseError,
    DerivationError,
    EmbeddedError,
    EvaluationError,
    InvalidStorePath,
    StoreError,
)


def _unreachable(error: psycopg.Error) -> str:
    reason = " ".join(str(error).split()).rstrip(".")
    return (
        f"the database can't be reached: {reason}. Is it running, and is --database right?"
        " Finished work is kept: run the same command again."
    )


def clear_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors that are meant for users into a message and exit status 2."""

    @functools.wraps(command)
    def with_clear_errors(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except _FOR_PEOPLE as error:
            raise CouldNotRun(str(error)) from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise CouldNotRun(str(ReadOnlyError())) from error
        except psycopg.Error as error:
            if is_transient(error):
                raise CouldNotRun(_unreachable(error)) from error
            raise CouldNotRun(f"the database says: {str(error).strip()}") from error
        except BrokenPipeError:
            raise  # click ends quietly
        except OSError as error:
            raise CouldNotRun(str(error)) from error

    return with_clear_errors
