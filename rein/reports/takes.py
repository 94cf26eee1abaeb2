"""Which keys a kind of table or figure knows: nothing that a report asks for is passed over."""

from __future__ import annotations

from dataclasses import MISSING, fields

from rein.config import ConfigError, Figure, Table


def check_keys(wanted: Table | Figure, takes: str) -> None:
    """Raise ConfigError for a key that is set though its kind does not take it.

    `takes` has those that it does, `rows spread`, beside `name`, `kind`, `caption` and `filter`, which all do.
    """
    what, known = type(wanted).__name__.lower(), ["name", "kind", "caption", "filter", *takes.split()]
    for field in fields(wanted):
        unset = field.default if field.default is not MISSING else {}
        if field.name not in known and getattr(wanted, field.name) != unset:
            raise ConfigError(
                f"{what} {wanted.name!r}: a {what} of kind `{wanted.kind}` has no `{field.name}`; it has "
                f"{', '.join(known)}"
            )
