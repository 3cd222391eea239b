"""From a list of calls to a module: a Sequential where each call reads what the one before gave, else a Graph."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from minicnn import nn
from minicnn.nn.graph import INPUT, joins


@dataclass
class Call:
    """One operation of a traced forward.

    Attributes
    ----------
    name : str
        Of the value that it computes.
    module : Module
    read : list of str
        The values that it reads; "x" is the input of forward.
    path : str
        Where the module stands in the torch model; empty for a function.

    Examples
    --------
    >>> Call("relu", nn.ReLU(), ["x"]).path
    ''
    """

    name: str
    module: nn.Module
    read: list[str]
    path: str = ""


def assemble(module, calls: list[Call], output: str, spare: dict[str, nn.Module]) -> nn.Module:
    """Return the module that does what `calls` say.

    Parameters
    ----------
    module : torch.nn.Module
        Whose forward it is; its children's names and their order are kept.
    calls : list of Call, in the order of execution
    output : str
        The value that forward returns.
    spare : dict of str to Module
        Layers with parameters that forward does not call; their names belong to the state.
    """
    calls = needed(calls, output)
    if not calls and not spare:
        return nn.Identity()
    taken = {name.rpartition(".")[2] for name, _ in module.named_modules(remove_duplicate=False)} | set(
        dir(nn.Graph)
    )
    for call in calls:
        if not call.path:  # a function gets a name that no layer has
            first = name = call.name.replace("'", "_scaled")
            number = 1
            while name in taken:
                name, number = f"{first}_{number}", number + 1
            taken.add(name)
            call.path = name
    if not spare and is_chain(calls, output):
        made = as_chain(module, calls)
        if made is not None:
            return made
    return as_graph(module, calls or [Call("y", nn.Identity(), [INPUT], "identity")], spare)


def needed(calls: list[Call], output: str) -> list[Call]:
    """Return the calls that the output depends on.

    >>> calls = [Call("a", None, ["x"]), Call("b", None, ["x"]), Call("c", None, ["a"])]
    >>> [call.name for call in needed(calls, "c")]
    ['a', 'c']
    """
    read, found = {output}, []
    for call in reversed(calls):
        if call.name in read:
            read.update(call.read)
            found.append(call)
    return found[::-1]


def is_chain(calls: list[Call], output: str) -> bool:
    """Say whether every call reads the value before it, and nothing else.

    >>> is_chain([Call("a", nn.ReLU(), ["x"]), Call("b", nn.Add(), ["a", "x"])], "b")
    False
    """
    values = [INPUT, *(call.name for call in calls)]
    linear = all(call.read == [value] for call, value in zip(calls, values[:-1], strict=True))
    return linear and values[-1] == output and not any(joins(call.module) for call in calls)


def as_chain(module, calls: list[Call]) -> nn.Sequential | None:
    """Return a Sequential, or None where torch's names do not allow one.

    A layer without parameters that is called again stands there again, as "pool#2".
    """
    torch_names = {name for name, _ in module.named_modules(remove_duplicate=False)}
    used, places = Counter(), []
    for call in calls:
        used[call.path] += 1
        if used[call.path] > 1 and call.module.state_dict():
            return None
        path = call.path if used[call.path] == 1 else f"{call.path}#{used[call.path]}"
        places.append([path.split("."), call.module])
    for position, (path, _) in enumerate(places):  # a function between layers of one list joins the list
        if calls[position].path not in torch_names and 0 < position < len(places) - 1:
            before, after = places[position - 1][0][:-1], places[position + 1][0][:-1]
            path[:0] = [a for i, a in enumerate(before) if before[: i + 1] == after[: i + 1]]
    return nested(places, module)


def nested(places: list, module) -> nn.Sequential | None:
    """Return Sequentials inside one another, or None where the layers of one are not neighbours."""
    groups: list[tuple[str, list]] = []
    for (first, *rest), made in places:
        if not groups or groups[-1][0] != first:
            groups.append((first, []))
        groups[-1][1].append((rest, made))
    children = OrderedDict()
    for name, inside in groups:
        if name in children or (len(inside) > 1 and any(not rest for rest, _ in inside)):
            return None
        child = inside[0][1] if not inside[0][0] else nested(inside, getattr(module, name))
        if child is None:
            return None
        children[name] = child
    made = nn.Sequential(children)
    made.training = module.training
    return made


def as_graph(module, calls: list[Call], spare: dict[str, nn.Module]) -> nn.Graph:
    """Return a Graph; layers that stand further down are found there under torch's names."""
    found = {}
    for call in calls:
        found.setdefault(call.path, call.module)
    found |= spare
    torch_names = [name for name, _ in module.named_modules(remove_duplicate=False) if name in found]
    tree: dict = {}
    for path in (*torch_names, *(path for path in found if path not in torch_names)):
        *folders, name = path.split(".")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
            if not isinstance(branch, dict):  # called as a whole, too: the layer is there already
                break
        else:
            branch[name] = found[path]
    names = {INPUT: INPUT}
    nodes = []
    for position, call in enumerate(calls, 1):
        names[call.name] = f"x{position}"
        nodes.append((names[call.name], call.path, *(names[value] for value in call.read)))
    return nn.Graph(nodes, **{name: as_module(child, module, name) for name, child in tree.items()})


def as_module(branch, module, path: str) -> nn.Module:
    """Return a branch of a tree of layers as a Sequential, which here only holds them."""
    if isinstance(branch, nn.Module):
        return branch
    children = {name: as_module(child, module, f"{path}.{name}") for name, child in branch.items()}
    made = nn.Sequential(OrderedDict(children))
    made.training = module.get_submodule(path).training
    return made
