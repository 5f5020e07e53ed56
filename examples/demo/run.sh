#!/bin/sh
# The main job without an account: plan, apply, plan again, a port more. Every command is printed before it runs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"
sed "s#/DEMO_FOLDER#$work#" "$here/cloudsync.toml" >cloudsync.toml

run() { # CODE COMMAND...: print the command, run it, and see that it ends with CODE
    want=$1
    shift
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    code=0
    "$@" || code=$?
    if [ "$code" -ne "$want" ]; then
        echo "the demo expected exit code $want, got $code" >&2
        exit 1
    fi
}
say() { printf '\n# %s\n' "$*"; }

say "A configuration: two hosts, the ports they need, one firewall (examples/demo/cloudsync.toml)."
run 0 cloudsync config check
say "What would be done? Nothing is written yet; 2 = changes are pending."
run 2 cloudsync plan --detailed-exitcode
run 0 cloudsync apply --auto-approve
say "A second plan finds nothing to do."
run 0 cloudsync plan --detailed-exitcode
say "The mail server moves in on web-1: port 25 joins the list."
sed -i 's#"443/udp"#"443/udp", "25/tcp"#' cloudsync.toml
run 0 grep -n 'ports = .*25/tcp' cloudsync.toml
run 2 cloudsync plan --detailed-exitcode
say "Somebody opens a port by hand. The next plan closes it."
sed -i '0,/"25"/s/"ports": "22"/"ports": "22-23"/' firewall.json
run 0 cloudsync plan
run 0 cloudsync apply --auto-approve
say "The firewall, as the provider 'local' keeps it:"
run 0 head -n 24 firewall.json

if command -v docker >/dev/null 2>&1 && docker version >/dev/null 2>&1; then
    say "A Docker engine answers here. See what its containers need:  cloudsync discover"
else
    say "With a Docker engine at hand, 'cloudsync discover' shows what its containers need; no configuration is needed for that."
fi
say "In a configuration an engine is:  [hosts.NAME]  docker = \"unix:///var/run/docker.sock\"  (config.example.toml has it all)"
