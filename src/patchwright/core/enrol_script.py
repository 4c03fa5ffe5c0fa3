"""The script behind `patchwright enrol-command`, served at /enrol.sh: a constant text, so that a line can pin its hash.

Nothing of an activation is in it; what differs comes as arguments, and the code by the environment. It needs POSIX sh,
systemd, Python 3.6 and one of curl, wget and python3. It is read whole before it runs: all of it is functions.
"""

import hashlib

UNIT_NAME = "patchwright-agent.service"
SCRIPT = r"""#!/bin/sh
# Make this host a managed node of a Patchwright server, or take it away again.
#   PATCHWRIGHT_ACTIVATION_CODE=CODE sh enrol.sh install --server URL --activation-id ID --region NAME
#       --agent-sha256 H [--ca-sha256 H] [--insecure-http] [--scan-only]
#   sh enrol.sh uninstall
set -eu
umask 022

PROGRAMS=/usr/local/lib/patchwright
AGENT=$PROGRAMS/patchwright-agent.pyz
STATE=/var/lib/patchwright-agent
UNIT=/etc/systemd/system/patchwright-agent.service
STAGE=
PLACED=

say() { printf 'patchwright: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
usage() { say "$*"; exit 64; }

# What was put in place is taken back if the script ends before it is done; what was there before returns.
at_exit() {
    status=$?
    trap - EXIT
    set +e
    if [ -n "$PLACED" ]; then
        if [ ! -e "$STAGE/old/${UNIT##*/}" ]; then systemctl disable --now --quiet patchwright-agent.service; fi
        for file in "$AGENT" "$UNIT" "$PROGRAMS/enrol.sh"; do
            name=${file##*/}
            if [ -e "$STAGE/old/$name" ]; then mv -f "$STAGE/old/$name" "$file"; else rm -f "$file"; fi
        done
        systemctl daemon-reload
        if [ -e "$UNIT" ]; then
            systemctl restart patchwright-agent.service
            say "the installation that was here before is in place again"
        else
            systemctl reset-failed patchwright-agent.service 2>/dev/null
            say "the program and its unit were removed again; the identity in $STATE is kept for the next try"
        fi
    fi
    if [ -n "$STAGE" ]; then rm -rf "$STAGE"; fi
    if [ -n "${NEW_STATE:-}" ] && [ ! -e "$STATE/registration.json" ]; then rm -rf "$STATE"; fi
    rmdir "$PROGRAMS" 2>/dev/null || true
    exit "$status"
}

# The digest decides what is run, so a certificate that the host cannot check yet does no harm here.
fetch() {
    if command -v curl >/dev/null 2>&1; then
        curl -fsSk -o "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget -q --no-check-certificate -O "$2" "$1"
    else
        python3 -c 'import ssl, sys, urllib.request as u
answer = u.urlopen(sys.argv[1], timeout=60, context=ssl._create_unverified_context())
open(sys.argv[2], "wb").write(answer.read())' "$1" "$2"
    fi || fail "cannot fetch $1; check that this host reaches the server. Nothing was installed"
}

# One at a time, and not under a patch run: that reads its program and writes its journal until it is over.
begin() {
    [ "$(id -u)" = 0 ] || fail "this needs root: run it again as root"
    exec 9>/run/patchwright-enrol.lock
    flock -n 9 || fail "another enrol.sh is at work on this host: wait until it has ended"
    if systemctl list-units --type=scope --no-legend 2>/dev/null | grep -q 'Patchwright'; then
        fail "a patch run is at work on this host: wait until it has ended. Nothing was changed"
    fi
}

check_host() {
    [ -d /run/systemd/system ] || fail "this host does not run systemd; see docs/how-to/enrol-a-host.md"
    command -v python3 >/dev/null 2>&1 ||
        fail "no python3 here: install it (apt-get install python3, or dnf install python3)"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 6))' ||
        fail "python3 is older than 3.6: install a newer one"
}

write_unit() {
    cat <<END
[Unit]
Description=Patchwright agent
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=$(command -v python3) $AGENT run --state-dir $STATE$SCAN_ONLY
Restart=always
RestartSec=10
# A restart must not end a package transaction.
KillMode=process
OOMPolicy=continue
StateDirectory=patchwright-agent
StateDirectoryMode=0700
# A core would hold the node's key.
LimitCORE=0
KeyringMode=private
LockPersonality=yes
RestrictRealtime=yes
END
    # Package scripts inherit the rest, and must be able to do all that packages do: only a host that installs
    # nothing can be shut in further.
    if [ -n "$SCAN_ONLY" ]; then
        printf '%s\n' NoNewPrivileges=yes ProtectSystem=yes ProtectHome=yes ProtectKernelModules=yes PrivateTmp=yes
    fi
    printf '\n[Install]\nWantedBy=multi-user.target\n'
}

install_agent() {
    SERVER= ACTIVATION= REGION= DIGEST= PIN= HTTP= SCAN_ONLY=
    while [ $# -gt 0 ]; do
        case $1 in
            --insecure-http) HTTP=yes; shift; continue ;;
            --scan-only) SCAN_ONLY=' --scan-only'; shift; continue ;;
        esac
        [ $# -ge 2 ] || usage "$1 needs a value"
        case $1 in
            --server) SERVER=$2 ;;
            --activation-id) ACTIVATION=$2 ;;
            --region) REGION=$2 ;;
            --agent-sha256) DIGEST=$2 ;;
            --ca-sha256) PIN=$2 ;;
            *) usage "unknown option $1" ;;
        esac
        shift 2
    done
    for value in "$SERVER" "$ACTIVATION" "$REGION" "$DIGEST"; do
        [ -n "$value" ] || usage "--server, --activation-id, --region and --agent-sha256 are needed"
    done
    check_host
    begin
    trap at_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -p "$PROGRAMS"
    rm -rf "$PROGRAMS"/.new.*
    STAGE=$(mktemp -d "$PROGRAMS/.new.XXXXXX")
    mkdir "$STAGE/old"
    fetch "$SERVER/agent/patchwright-agent.pyz" "$STAGE/patchwright-agent.pyz"
    echo "$DIGEST  $STAGE/patchwright-agent.pyz" | sha256sum -c - >/dev/null 2>&1 ||
        fail "the agent that $SERVER gave is not the one that the line names: ask for a new line. Nothing was installed"
    [ -e "$STATE" ] || NEW_STATE=yes
    set -- register --keep --server "$SERVER" --activation-id "$ACTIVATION" --region "$REGION" --state-dir "$STATE"
    [ -z "$PIN" ] || set -- "$@" --ca-sha256 "$PIN"
    [ -z "$HTTP" ] || set -- "$@" --insecure-http
    node=$(python3 "$STAGE/patchwright-agent.pyz" "$@") ||
        fail "not registered, for the reason above. Nothing was installed"
    unset PATCHWRIGHT_ACTIVATION_CODE

    for file in "$AGENT" "$UNIT" "$PROGRAMS/enrol.sh"; do
        if [ -e "$file" ]; then cp -p "$file" "$STAGE/old/"; fi
    done
    cp "$0" "$STAGE/enrol.sh"
    write_unit >"$STAGE/unit"
    chmod 0644 "$STAGE/patchwright-agent.pyz" "$STAGE/enrol.sh" "$STAGE/unit"
    PLACED=yes
    mv -f "$STAGE/patchwright-agent.pyz" "$AGENT"
    mv -f "$STAGE/enrol.sh" "$PROGRAMS/enrol.sh"
    cp "$STAGE/unit" "$UNIT"
    systemctl daemon-reload
    systemctl enable --quiet patchwright-agent.service
    systemctl restart patchwright-agent.service
    sleep 2
    if ! systemctl --quiet is-active patchwright-agent.service; then
        journalctl --no-pager --unit patchwright-agent.service --lines 10 >&2 || true
        fail "the agent does not stay up; its last words are above"
    fi
    PLACED=
    say "this host is $node at $SERVER; to take it away: sh $PROGRAMS/enrol.sh uninstall"
}

uninstall_agent() {
    begin
    node=$(sed -n 's/.*"\(mi-[0-9a-f]*\)".*/\1/p' "$STATE/registration.json" 2>/dev/null | head -n 1) || node=
    if [ -e "$UNIT" ]; then
        systemctl disable --now --quiet patchwright-agent.service ||
            fail "the service cannot be stopped (systemctl status patchwright-agent); nothing was removed"
    fi
    rm -f "$UNIT"
    systemctl daemon-reload || true
    rm -rf "$STATE" "$PROGRAMS"
    if [ -n "$node" ]; then
        say "removed. The server still lists the node: aws ssm deregister-managed-instance --instance-id $node"
    else
        say "removed"
    fi
}

main() {
    action=${1:-}
    [ $# -eq 0 ] || shift
    case $action in
        install) install_agent "$@" ;;
        uninstall) uninstall_agent ;;
        *) usage "say install or uninstall" ;;
    esac
}

main "$@"
"""
SHA256 = hashlib.sha256(SCRIPT.encode("ascii")).hexdigest()
