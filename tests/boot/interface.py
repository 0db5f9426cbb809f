# SPDX-License-Identifier: MIT
"""Compares what objects say of themselves with the file that documents their interfaces."""

import xml.etree.ElementTree as xml

from harness import equal
from wire import NAME, PATH, PORT, port_path

STANDARD = {f"org.freedesktop.DBus.{name}" for name in ("Peer", "Introspectable", "Properties")}
MANAGER = "org.freedesktop.DBus.ObjectManager"


def members(interface):
    """All that callers can rely on in an interface, by kind and name."""
    found = {}
    for kind, direction in ("method", "in"), ("signal", "out"), ("property", None):
        for member in interface.findall(kind):
            arguments = [(a.get("direction", direction), a.get("name"), a.get("type"))
                         for a in member.findall("arg")]
            annotations = {a.get("name"): a.get("value") for a in member.findall("annotation")}
            # Every property has this annotation, whether it is written or not.
            if kind == "property":
                annotations.setdefault("org.freedesktop.DBus.Property.EmitsChangedSignal", "true")
            found[kind, member.get("name")] = (arguments, member.get("type"), member.get("access"), annotations)
    return found


def check(connection, file, port):
    """The objects of the monitor and of a watched port have the members that the file has, no more."""
    documented = {i.get("name"): members(i) for i in xml.parse(file).getroot().findall("interface")}
    equal(set(documented), {NAME, PORT}, f"the interfaces in {file}")
    for path, name, others in (PATH, NAME, STANDARD | {MANAGER}), (port_path(port), PORT, STANDARD):
        live = {i.get("name"): i for i in connection.introspect(path).findall("interface")}
        equal(set(live), {name, *others}, f"the interfaces of {path}")
        got, wanted = members(live[name]), documented[name]
        equal(sorted(got), sorted(wanted), f"the members of {name}")
        for member in wanted:
            equal(got[member], wanted[member], f"{' '.join(member)} of {name}")
