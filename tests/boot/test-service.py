#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""portmond as a service: starting, stopping, reloading, its journal, its sandbox and its watchdog."""

from container import *

PORT, OTHER, THIRD = 19501, 19502, 19503
SIZES = 123457, 765433  # what transfer() moves
UNIT_FILES = "/lib/systemd/system"
CATALOG = "/usr/lib/systemd/catalog/portmon.catalog"


def config(*ports, **settings):
    return json.dumps({"ports": ports, **settings})  # which is YAML


def ports():
    with peer() as connection:
        return connection.call("ListPorts")


def stats(port, *options, user="ordinary"):
    return json.loads(portmon_as(user, *options, "stats", "--port", port, "--json"))


def settled(port):
    """The figures of a port once none of its connections is open."""
    return eventually(lambda: (found := stats(port))["connections"] == 0 and found, "all connections are closed")


# ---- the unit ----


@test
def verify():
    """systemd-analyze finds nothing to say about the units"""
    units = [f"{UNIT_FILES}/{SERVICE}", f"{UNIT_FILES}/portmond.socket"]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    equal((done.returncode, done.stdout), (0, ""), "what it says")


@test
def exposure():
    """systemd-analyze rates the exposure of the service at 1.2 at most"""
    with tempfile.TemporaryDirectory() as directory:
        # Under another name: without what a sanitizer needs.
        copy = pathlib.Path(directory, "installed.service")
        copy.write_text(pathlib.Path(UNIT_FILES, SERVICE).read_text())
        sh("systemd-analyze", "security", "--offline=true", "--threshold=12", copy)


@test
def starts():
    """It starts, says what it does, and runs as its own user without any capability"""
    configure(config({"port": PORT, "description": "Web"}))
    equal(is_active(), "inactive", "the state after installation")
    systemctl("start", SERVICE)
    equal(is_active(), "active", "the state")
    text = systemctl("status", SERVICE)
    for words in "Per-Port Traffic Accounting", "active (running)", "Watching 1 port by":
        true(words in text, f"{words!r} in {text}")
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid()}/status").read_text().splitlines()
                  if ":\t" in line)
    user = pwd.getpwnam("portmon")
    equal(status["Uid"], "\t".join([str(user.pw_uid)] * 4), "users")
    equal(status["Gid"], "\t".join([str(user.pw_gid)] * 4), "groups")
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        equal(int(status[name], 16), 0, name)
    equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "the sandbox")


@test
def anybody_reads():
    """An ordinary user reads exact figures, on the bus and on the socket"""
    transfer(PORT)
    for options in [], ["--socket", SOCKET]:
        settled(PORT)
        found = stats(PORT, *options)
        equal((found["rx_bytes"], found["tx_bytes"], found["connections_total"]), (*SIZES, 1), f"figures {options}")
        equal(found["client"]["rx_bytes"], 0, "figures of the client: none leaves the host")
        true(str(PORT) in portmon_as("ordinary", *options, "stats"), "the table has the port")


@test
def log_level():
    """systemctl reads and sets the log level and target; others than root can't"""
    def others(transport, name, value):
        with connection_of("ordinary", transport) as connection:
            return outcome(connection, "Set", "ssv", "org.freedesktop.LogControl1", name, GLib.Variant("s", value),
                           interface=PROPERTIES, path="/org/freedesktop/LogControl1")

    equal(systemctl("service-log-level", SERVICE).strip(), "info", "the level")
    for level in "debug", "info":
        systemctl("service-log-level", SERVICE, level)
        equal(systemctl("service-log-level", SERVICE).strip(), level, "the level")
    true(subprocess.run(["systemctl", "service-log-level", SERVICE, "loud"], stderr=subprocess.DEVNULL).returncode,
         "what is no level is refused")
    equal(systemctl("service-log-target", SERVICE).strip(), "journal", "the target")
    for transport in TRANSPORTS:
        equal(others(transport, "LogLevel", "debug"), "AccessDenied", "an ordinary user on the " + transport)
    equal(systemctl("service-log-level", SERVICE).strip(), "info", "the level")


# ---- starting ----


@test
def starts_when_called():
    """A call on the bus, and a connection to the socket, start it when it is not running"""
    def add_port():
        equal(sh("busctl", "call", NAME, PATH, NAME, "AddPort", "qs", str(OTHER), "API"),
              f'o "{port_path(OTHER)}"\n', "the answer")

    for start in (lambda: stats(PORT), lambda: stats(PORT, "--socket", SOCKET), add_port):
        systemctl("stop", SERVICE)
        equal((is_active(), is_active("portmond.socket")), ("inactive", "active"), "service and socket")
        start()
        equal(is_active(), "active", "the state")
    equal(ports(), [(PORT, "Web"), (OTHER, "API")], "ports")
    eventually(lambda: "Watching 2 ports" in systemctl("status", SERVICE), "systemctl status knows of both")


@test
def restarts():
    """Figures, ports and descriptions survive a restart; the end is clean"""
    before, process = settled(PORT), pid()
    systemctl("restart", SERVICE)
    true(pid() != process, "it is another process")
    after = stats(PORT)
    equal({key: after[key] for key in ("rx_bytes", "tx_bytes", "connections_total", "description")},
          {key: before[key] for key in ("rx_bytes", "tx_bytes", "connections_total", "description")}, "figures")
    equal(ports(), [(PORT, "Web"), (OTHER, "API")], "ports")
    systemctl("stop", SERVICE)
    equal((is_active(), show("Result"), show("ExecMainStatus")), ("inactive", "success", "0"), "the end")


@test
def broken_configuration_does_not_start():
    """With a broken configuration it does not start, and the journal says where it is wrong"""
    after = cursor()
    configure("ports: [0]\n")
    true(subprocess.run(["systemctl", "start", SERVICE], stderr=subprocess.DEVNULL).returncode, "start fails")
    entries = journal(after, _SYSTEMD_UNIT=SERVICE)
    equal([(e["MESSAGE"].partition(" ")[0], e["PRIORITY"]) for e in entries if e["_TRANSPORT"] == "stdout"],
          [(f"{CONFIG}:1:9:", "3")], "file, line, column, and that it is an error")
    configure(config({"port": PORT, "description": "Web"}))
    systemctl("restart", SERVICE)


# ---- reload ----


@test
def reload_applies():
    """Reload: ports come, go and are renamed, retention and log level change, in the same process"""
    with same_process() as process, peer() as connection:
        configure(config(THIRD, {"port": PORT, "description": "Shop"}, retention_days=7, log_level="debug"))
        systemctl("reload", SERVICE)
        eventually(lambda: ports() == [(PORT, "Shop"), (OTHER, "API"), (THIRD, "")], "the new ports are there")
        equal(connection.get("RetentionDays"), 7, "retention")
        equal(systemctl("service-log-level", SERVICE).strip(), "debug", "log level")
        transfer(THIRD)
        equal(settled(THIRD)["rx_bytes"], SIZES[0], "what is counted on the new port")

        # What was added over the bus stays; of the file's, what it names.
        configure(config({"port": PORT, "description": "Web"}))
        systemctl("reload", SERVICE)
        eventually(lambda: ports() == [(PORT, "Web"), (OTHER, "API")], "the old ports are there")
        equal(connection.get("RetentionDays"), 180, "retention")
        equal(systemctl("service-log-level", SERVICE).strip(), "info", "log level")


BROKEN = {
    "ports: [\n": "2:1",
    "port: [1]\n": "1:1",
    "ports: [1, 70000]\n": "1:12",
    "ports: []\nretention_days: many\n": "2:17",
    "log_level: loud\n": "1:12",
}


@test
def reload_of_broken_configuration():
    """Reload of a broken file: line and column in the journal, and everything stays as it was"""
    before = ports()
    with same_process():
        for text, place in BROKEN.items():
            after = cursor()
            configure(text)
            systemctl("reload", SERVICE)
            eventually(lambda: any("the running one stays" in message for message in said(after)),
                       f"{text!r} is reported")
            true(any(message.startswith(f"{CONFIG}:{place}:") for message in said(after)),
                 f"{place} of {text!r} in {said(after)}")
            equal(ports(), before, f"ports after {text!r}")
    configure(config({"port": PORT, "description": "Web"}))
    systemctl("reload", SERVICE)


@test
def reload_is_notified():
    """While it reads its configuration systemd knows that it reloads, and when it has done so"""
    with same_process() as process:
        CONFIG.unlink()
        os.mkfifo(CONFIG)  # reading it takes as long as we like
        os.kill(process, signal.SIGHUP)
        eventually(lambda: is_active() == "reloading", "it is reloading")
        CONFIG.write_text(config({"port": PORT, "description": "Slow"}))
        eventually(lambda: is_active() == "active", "it is active again")
        equal(ports()[0], (PORT, "Slow"), "the port")
        CONFIG.unlink()
        configure(config({"port": PORT, "description": "Web"}))
        systemctl("reload", SERVICE)
        eventually(lambda: ports()[0] == (PORT, "Web"), "the old description")


# ---- the journal ----


@test
def journal_has_fields():
    """Start, stop and ports that come and go are in the journal with their fields and the catalogue's text"""
    catalog = dict(re.findall(r"^-- (\w{32})\nSubject: (.*)", pathlib.Path(CATALOG).read_text(), re.MULTILINE))
    events = [("portmond has stopped", None), ("portmond has started", None),
              ("Port @PORTMON_PORT@ is watched", THIRD), ("Port @PORTMON_PORT@ is no longer watched", THIRD)]
    after = cursor()
    systemctl("restart", SERVICE)
    sh("portmon", "add-port", str(THIRD))
    sh("portmon", "remove-port", str(THIRD))

    entries = [entry for entry in journal(after, _SYSTEMD_UNIT=SERVICE) if "MESSAGE_ID" in entry]
    equal([(catalog.get(e["MESSAGE_ID"]), int(e.get("PORTMON_PORT", 0)) or None) for e in entries], events, "events")
    for entry in entries:
        equal((entry["SYSLOG_IDENTIFIER"], entry["PRIORITY"]), ("portmond", "6"), "identifier and priority")
    explained = sh("journalctl", "--after-cursor", after, "--catalog")
    for subject, port in events:
        true(subject.replace("@PORTMON_PORT@", str(port)) in explained, f"journalctl -x shows {subject!r}")


# ---- the bus ----


def owner():
    """The process that has the name on the bus, if any. Asking does not start it."""
    with contextlib.suppress(Error, ConnectionError), bus() as connection:
        return connection.bus_call("GetConnectionUnixProcessID", "s", NAME)


@test
def bus_restarts():
    """When the bus is restarted the service stays, and who calls it then gets an answer"""
    with same_process() as process, peer() as neighbour:
        systemctl("restart", "dbus.service")
        equal(neighbour.call("ListPorts"), ports(), "what a peer is told")
        equal(json.loads(sh("busctl", "--json=short", "call", NAME, PATH, NAME, "ListPorts"))["data"][0],
              [list(port) for port in ports()], "what a caller on the bus is told")
        equal(owner(), process, "the process on the bus")


@test
def bus_dies():
    """When the bus dies the service stays, and is on the next one by itself"""
    with same_process() as process, peer() as neighbour:
        systemctl("kill", "--signal=KILL", "dbus.service")
        equal(neighbour.call("ListPorts"), ports(), "what a peer is told")
        eventually(lambda: owner() == process, "it is on the bus again")


@test
def another_by_hand():
    """A second portmond, by hand, leaves the bus to the service, says so, and has nothing that the sandbox denies"""
    with tempfile.TemporaryDirectory() as directory, same_process() as process:
        mine = pathlib.Path(directory, "socket")

        def answer():
            with contextlib.suppress(OSError):  # not there, or nobody listens yet
                return Connection(mine)
        with subprocess.Popen(["portmond", "--config=/dev/null", f"--port={THIRD}", f"--data-dir={directory}/data",
                               f"--socket={mine}"], stderr=subprocess.PIPE, text=True) as other:
            try:
                with eventually(answer, "it answers on its socket") as connection, peer() as service:
                    equal(connection.call("ListPorts"), [(THIRD, "")], "its ports")
                    equal(service.get("Collector"), connection.get("Collector"), "the collector of the service")
            finally:
                other.terminate()
            true("Another portmond has the name" in other.stderr.read(), "it says so")
        equal(other.returncode, 0, "its exit status")
        equal(owner(), process, "the process on the bus")


# ---- crashes ----


@test
def killed_after_reexec():
    """systemd re-executes itself and the service is killed: what comes meanwhile counts, once"""
    before, killed, store = settled(PORT), pid(), show("NFileDescriptorStore")
    systemctl("daemon-reexec")
    equal(show("NFileDescriptorStore"), store, "the descriptors that systemd keeps")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: pid() == 0, "it is dead")
    transfer(PORT)
    eventually(lambda: pid() not in (0, killed) and is_active() == "active", "it runs again")
    after = settled(PORT)
    equal(tuple(after[name] - before[name] for name in ("rx_bytes", "tx_bytes", "connections_total")), (*SIZES, 1),
          "what has come")


# ---- the watchdog ----


@test
def watchdog():
    """A service that hangs is ended by the watchdog and started again"""
    seconds = 2 * PATIENCE_SEC // 30
    with drop_in(f"[Service]\nWatchdogSec={seconds}\nRestartSec=0\n"):
        after, hung = cursor(), pid()
        os.kill(hung, signal.SIGSTOP)
        eventually(lambda: pid() not in (0, hung) and is_active() == "active", "it runs again")
        messages = [entry["MESSAGE"] for entry in journal(after, UNIT=SERVICE)]
        true(any("Watchdog timeout" in message for message in messages), "it was the watchdog")
        equal(ports(), [(PORT, "Web"), (OTHER, "API")], "ports")


run()
