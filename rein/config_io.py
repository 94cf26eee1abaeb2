"""Configs from YAML and the command line: find, override, validate, write; a refusal names the key and its place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from rein.config import ConfigError, Experiment, Mask2Former, Report, Sweep, flatten, nearest, to_dict
from rein.data import domains
from rein.data.classes import CLASSES
from rein.data.domain import Domain

T = TypeVar("T")

#: libyaml's, which is eight times as fast, where PyYAML was built with it; both are safe.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(kind: type[T], name: str | Path, overrides: Iterable[str] = ()) -> T:
    """Read an experiment, sweep or report by file or shipped name and apply `dotted.key=value` overrides."""
    path, overrides = find(kind, name), list(overrides)
    values = override(read_yaml(path), parse_overrides(overrides))
    try:
        return build(kind, values, str(path))
    except ConfigError as error:
        concerned = [item for item in overrides if item.partition("=")[0] in str(error)]
        if not concerned:
            raise
        raise ConfigError(str(error).replace(str(path), f"{' '.join(concerned)} (over {path})")) from None


def build(kind: type[T], values: Mapping[str, Any], where: str = "config", to_run: bool = True) -> T:
    """Validate a nested mapping into a config type; `where` (mostly a file) opens every error line.

    An experiment that was run before (`to_run` False) need not name domains that are known here.
    """
    value = validate(kind, values, where)
    if isinstance(value, Experiment):
        check_numbers(value, where)
        if to_run:
            check_data(value, where)
    return value


def validate(kind: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """As `build`, every key by itself: nothing of how an experiment's groups and domains go together."""
    if kind is Experiment:
        values = _with_default_methods(values)
    try:
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{where}: {_explain(kind, item)}" for item in error.errors())) from None


def dump(value: Any) -> str:
    """YAML that `load` reads back to the same value."""
    return yaml.safe_dump(to_dict(value), sort_keys=False)


def find(kind: type, name: str | Path) -> Path:
    """The file that a name stands for: a path, a file of the working folder's own study, or a shipped one."""
    if Path(name).suffix in {".yaml", ".yml"}:
        if Path(name).is_file():
            return Path(name)
        raise ConfigError(f"{name}: no such file")
    known = shipped(kind)
    if str(name) in known:
        return known[str(name)]
    raise ConfigError(
        f"{name}: no {kind.__name__.lower()} of that name{nearest(str(name), known)}; "
        f"give a YAML file or one of `rein list {_folder(kind)}`"
    )


def shipped(kind: type) -> dict[str, Path]:
    """Name -> file of all that can be named; the working folder's own files come before the shipped ones."""
    package = Path(__file__).parent
    # In a checkout the YAML folders lie beside the package, in a wheel inside it.
    roots = [package / "shipped", package.parent, Path.cwd()]
    return {file.stem: file for root in roots for file in sorted((root / _folder(kind)).glob("*.yaml"))}


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file as a mapping; an empty file is an empty mapping."""
    try:
        with open(path, encoding="utf-8") as file:  # not its text: errors then name the file
            values = yaml.load(file, LOADER)
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, found a {type(values).__name__}")
    return values or {}


def parse_overrides(items: Iterable[str]) -> dict[str, Any]:
    """`["tuning.rank=8"]` -> `{"tuning.rank": 8}`; the value is read as YAML."""
    pairs = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"{item!r}: an override reads `dotted.key=value`, for example tuning.rank=8")
        try:
            pairs[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"{item!r}: {value!r} is not a YAML value") from None
    return pairs


def override(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested `values` with dotted `changes`. Naming another `method` drops the old method's own fields."""
    result = json.loads(json.dumps(values))
    defaults = _default_methods()
    # Methods first: `tuning.rank=4 tuning.method=lora` means LoRA of rank 4 in any order.
    for key in sorted(changes, key=lambda key: not key.endswith(".method")):
        *parents, leaf = key.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{key}: `{parent}` is a value, not a group of keys")
        if leaf == "method" and node.get("method", defaults.get(key)) != changes[key]:
            node.clear()
        node[leaf] = changes[key]
    return result


def check_domain(name: str, split: str | None = None, where: str = "", kept: Path | None = None) -> None:
    """Raise ConfigError for a domain that there is not, or that lacks the split, or its labels, that it is wanted for.

    Domains of one's own are read from their files here, or from a run's folder `kept` of copies; a family stands for
    its members.
    """
    from rein import domain_files

    try:
        if not name or name.startswith(".") or {"/", "\\"} & set(name):
            raise ConfigError(f"{name!r} is no domain's name, which holds no folders; `rein list domains` prints them")
        domain_files.register(name, kept)
        if name not in (known := {*domains.DOMAINS, *domains.FAMILIES}):
            near = nearest(name, sorted(known | set(domain_files.files())))
            raise ConfigError(
                f"unknown domain {name!r}{near}; `rein list domains` prints them all, "
                f"and domains/{name}.yaml would describe one of your own"
            )
        for member in domains.expand(name):
            _check_split(domains.find(member), split)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from None


def check_data(experiment: Experiment, where: str = "experiment", kept: Path | None = None) -> None:
    """Raise ConfigError where an experiment's domains lack what it wants of them: splits, labels, classes.

    `kept` is the run's folder of copies of the files that describe domains.
    """
    data = experiment.data
    for name in data.sources:
        check_domain(name, "train", f"{where}: `data.sources`: ", kept)
        if "val" in domains.find(name).splits:
            check_domain(name, "val", f"{where}: `data.sources`: ", kept)
    for name in data.targets:
        check_domain(name, "val", f"{where}: `data.targets`: ", kept)
    _check_scored(experiment, where)
    if data.classes:
        _check_own_classes(data.classes, data.sources, where)
    for key in ("sources", "targets"):
        for name in getattr(data, key):
            check_classes(experiment, name, f"{where}: `data.{key}`: ")


def check_classes(experiment: Experiment, name: str, where: str = "") -> None:
    """Raise ConfigError where a domain labels none of an experiment's classes, or one that would be void unsaid."""
    for member in domains.expand(name):
        domain = domains.find(member)
        if not experiment.data.classes:
            _check_known_classes(domain, where)
        if not domain.class_names & set(experiment.classes):
            wanted = f"data.classes ({', '.join(experiment.classes)})" if experiment.data.classes else "the 19 classes"
            raise ConfigError(
                f"{where}{domain.name} labels none of {wanted}; it labels {', '.join(sorted(domain.class_names))}"
            )


def _check_scored(experiment: Experiment, where: str) -> None:
    data = experiment.data
    without = [name for name in data.sources if "val" not in domains.find(name).splits]
    if data.holdout and not without:
        raise ConfigError(
            f"{where}: `data.holdout` is {data.holdout:g}: it is kept of sources without a val split, and "
            f"{', '.join(data.sources)} {'has' if len(data.sources) == 1 else 'have'} one; take it out"
        )
    if not data.targets and len(without) == len(data.sources) and not data.holdout:
        raise ConfigError(
            f"{where}: nothing would be scored: there are no `data.targets`, and {', '.join(without)} without a val "
            f"split; name a target, or keep a share of the training images by data.holdout=1/20"
        )


def _check_split(domain: Domain, split: str | None) -> None:
    if split is None:
        return
    use, other = ("trained on", "tested on") if split == "train" else ("tested on", "trained on")
    if split not in domain.splits:
        raise ConfigError(f"{domain.name} has no {split} split; it can only be {other}")
    if not domain.splits[split].labelled:
        raise ConfigError(f"{domain.name} has no labels in its {split} split, so it cannot be {use}; name them")


def _check_own_classes(classes: Sequence[str], sources: Sequence[str], where: str) -> None:
    known = {name for source in sources for name in domains.find(source).class_names}
    for name in classes:
        if name not in known:
            raise ConfigError(
                f"{where}: `data.classes`: no source labels {name!r}{nearest(name, known)}; "
                f"{', '.join(sources)}: {', '.join(sorted(known))}"
            )


def _check_known_classes(domain: Domain, where: str) -> None:
    """A name that is none of the 19 would be void without a word."""
    from rein import domain_files

    for name in sorted(domain.class_names - set(CLASSES)):
        raise ConfigError(
            f"{where}{domain.name} labels {name!r}, which is none of the 19 classes{nearest(name, CLASSES)}; "
            f"correct {domain_files.find_file(domain.name) or 'its label table'}, or name all classes in data.classes"
        )


def _folder(kind: type) -> str:
    return kind.__name__.lower() + "s"


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _default_methods() -> dict[str, str]:
    return {key: value for key, value in flatten(Experiment()).items() if key.endswith(".method")}


def _with_default_methods(values: Mapping[str, Any]) -> dict[str, Any]:
    """Groups with a choice of methods (`tuning`, `head`) that name none get the default's, as other keys would."""
    methods = {key.split(".")[0]: value for key, value in _default_methods().items()}
    return {
        key: {"method": methods[key], **group} if key in methods and isinstance(group, dict) else group
        for key, group in values.items()
    }


def check_numbers(experiment: Experiment, where: str) -> None:
    """What types cannot say: the domains have the splits they are used for, and numbers fit each other."""
    low, high = experiment.data.scale
    if low > high or any(scale < 0.1 or abs(10 * scale - round(10 * scale)) > 1e-6 for scale in (low, high)):
        raise ConfigError(f"{where}: `data.scale` is {[low, high]}: two multiples of 0.1, the smaller one first")
    if experiment.stride > experiment.window:
        raise ConfigError(
            f"{where}: `evaluation.stride` is {experiment.stride}: windows of {experiment.window} would leave gaps"
        )
    head = experiment.head
    if isinstance(head, Mask2Former) and (head.width % 4 or head.width % head.heads):
        raise ConfigError(f"{where}: `head.width` is {head.width}: a multiple of 4 and of `head.heads` ({head.heads})")
    for key in ("weights", "fraction"):
        values = getattr(experiment.data, key)
        if isinstance(values, tuple) and len(values) != len(experiment.data.sources):
            raise ConfigError(
                f"{where}: `data.{key}` is {list(values)}: one number for each of the {len(experiment.data.sources)} "
                f"`data.sources` is due"
            )
    if twice := [name for name, uses in Counter(experiment.classes).items() if uses > 1]:
        raise ConfigError(f"{where}: `data.classes` names {', '.join(twice)} twice; a class has one train id")


def _explain(kind: type, item: Mapping[str, Any]) -> str:
    path, siblings = _locate(kind, item["loc"])
    dotted = ".".join(path)
    match item["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            hint = "; the experiment's keys are axes, as 'vary={tuning.rank: [8, 16]}'" if _is_axis(kind, path) else ""
            return f"unknown key `{dotted}`{nearest(path[-1], siblings)}; known here: {', '.join(siblings)}{hint}"
        case "union_tag_invalid":
            expected = str(item["ctx"]["expected_tags"]).replace("'", "")
            tag = str(item["ctx"]["tag"])
            return f"`{dotted}.method` is {tag!r}{nearest(tag, expected.split(', '))}; known: {expected}"
        case "union_tag_not_found":
            return f"`{dotted}.method` is missing"
        case "missing" | "missing_argument":
            return f"`{dotted}` is missing"
        case "tuple_type":
            return f"`{dotted}` is {item['input']!r}: a list is due, as [1, 2]"
    message = item["msg"].removeprefix("Value error, ")
    return f"`{dotted}` is {_written(item['input'])}: {message[0].lower()}{message[1:]}"


def _is_axis(kind: type, path: Sequence[str]) -> bool:
    return kind in (Sweep, Report) and path[0] in get_type_hints(Experiment)


def _written(value: Any) -> str:
    return repr(list(value) if isinstance(value, tuple) else value)


def _locate(kind: type, location: Sequence[Any]) -> tuple[list[str], list[str]]:
    """The dotted path that a person would write, and the keys that its last group knows."""
    node: Any = kind
    path: list[str] = []
    siblings: list[str] = []
    for part in location:
        member = next((member for member in _members(node) if getattr(member, "method", None) == part), None)
        if member is not None:  # pydantic puts the chosen member of a union into the location; people do not
            node = member
            continue
        if part == "[key]":  # of a mapping's key that is wrong itself
            continue
        path.append(str(part))
        if isinstance(part, int):  # a member of a list
            continue
        hints = get_type_hints(node, include_extras=True) if is_dataclass(node) else {}
        siblings = list(hints)
        node = _listed(_present(hints.get(part)))
    return path, siblings


def _present(node: Any) -> Any:
    """The group in `Group | None`; any other type as it is."""
    groups = [member for member in _members(node) if is_dataclass(member)]
    return groups[0] if len(groups) == 1 else node


def _listed(node: Any) -> Any:
    """The group in `list[Group]`; any other type as it is."""
    groups = [member for member in get_args(node) if is_dataclass(member)]
    return groups[0] if get_origin(node) in (list, tuple) and groups else node


def _members(node: Any) -> tuple[Any, ...]:
    """The members of a (perhaps annotated) union; nothing for any other type."""
    if get_origin(node) is not None and hasattr(node, "__metadata__"):
        node = get_args(node)[0]
    return get_args(node) if get_origin(node) is Union or type(node).__name__ == "UnionType" else ()
