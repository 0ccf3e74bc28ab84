#!/usr/bin/env bash
# The Action's one step: finds the program, turns inputs into arguments, and becomes the program.
#
# Left out: what the program does. It reads the event itself, from the runner's variables. How it is fetched stands in
# `fetch.sh`. Written for bash 3.2 (macOS); on the way to a program that is there already, nothing is forked but the digest.
#
# Started with `bash -p`: functions, options and start-up files of the environment do not reach it.
set -euo pipefail
unset BASH_ENV ENV CDPATH GLOBIGNORE IFS
umask 022

# Exit codes as the program's own: what is configured wrongly, and what could not be found out.
readonly CONFIGURATION=20 ERRORED=50
readonly OTHER_WAY="install Branchline on the runner and name it: binary-path: /path/to/branchline"

# Writes the outputs of a step that ends before the program began: a later step must not read those of nothing.
outputs() { # VERDICT EXIT-CODE
  if [[ -n ${GITHUB_OUTPUT:-} ]]; then
    printf 'verdict=%s\nexit-code=%s\nresults=[]\nmetrics={}\n' "$1" "$2" >>"$GITHUB_OUTPUT" || true
  fi
}

# Ends with a sentence, as an annotation too. Nothing in it can be read as a command of the runner: it stays one line.
refuse() {
  local code=$1 text=$2
  text=${text//'%'/%25}
  text=${text//$'\r'/%0D}
  text=${text//$'\n'/%0A}
  printf '::error title=Branchline::%s\n' "$text"
  outputs errored "$code"
  exit "$code"
}

# Text of a person in a message: short, and printable.
shown() {
  local text=${1//[^[:print:]]/?}
  if ((${#text} > 80)); then text="${text:0:80}..."; fi
  printf '%s' "$text"
}

truth() { # NAME VALUE
  case $2 in
    true | false) ;;
    *) refuse $CONFIGURATION "the input \`$1\` is \`$(shown "$2")\`: write true or false" ;;
  esac
}

action_path=${GITHUB_ACTION_PATH:-}
if [[ -z $action_path ]]; then refuse $CONFIGURATION "GITHUB_ACTION_PATH is not set: start.sh is part of the Action, and only runs there"; fi
action_path=${action_path//\\//}

command=${BRANCHLINE_INPUT_COMMAND:-run}
models=${BRANCHLINE_INPUT_MODELS:-}
stage=${BRANCHLINE_INPUT_STAGE:-}
yes=${BRANCHLINE_INPUT_YES:-false}
directory=${BRANCHLINE_INPUT_WORKING_DIRECTORY:-}
home=${BRANCHLINE_INPUT_HOME:-}
token=${BRANCHLINE_INPUT_TOKEN:-}
version=${BRANCHLINE_INPUT_VERSION:-}
binary=${BRANCHLINE_INPUT_BINARY_PATH:-}
base_url=${BRANCHLINE_INPUT_DOWNLOAD_BASE_URL:-}
from_source=${BRANCHLINE_INPUT_BUILD_FROM_SOURCE:-false}
# Nothing that is started on the way (curl, cargo and its build scripts) sees the token.
unset BRANCHLINE_INPUT_COMMAND BRANCHLINE_INPUT_MODELS BRANCHLINE_INPUT_STAGE BRANCHLINE_INPUT_YES \
  BRANCHLINE_INPUT_WORKING_DIRECTORY BRANCHLINE_INPUT_HOME BRANCHLINE_INPUT_TOKEN BRANCHLINE_INPUT_VERSION \
  BRANCHLINE_INPUT_BINARY_PATH BRANCHLINE_INPUT_DOWNLOAD_BASE_URL BRANCHLINE_INPUT_BUILD_FROM_SOURCE \
  GITHUB_TOKEN GH_TOKEN

# The arguments. Each value is bound to its flag by `=`, so that none can be read as another flag.
truth yes "$yes"
truth build-from-source "$from_source"
case $command in
  run | plan | reconcile | prune | check | status | fingerprint) ;;
  *) refuse $CONFIGURATION "the input \`command\` is \`$(shown "$command")\`: write run, plan, reconcile, prune, check, status or fingerprint; what people do manually comes from the workflow_dispatch event and needs \`run\`" ;;
esac
if [[ -n $stage && $command != reconcile && $command != fingerprint ]]; then
  refuse $CONFIGURATION "the input \`stage\` is for \`reconcile\` and \`fingerprint\`; with \`$command\` leave it empty"
fi
if [[ $yes == true && $command != prune ]]; then
  refuse $CONFIGURATION "the input \`yes\` is for \`prune\`; with \`$command\` leave it out"
fi
if [[ -n $models && $command == check ]]; then
  refuse $CONFIGURATION "the input \`models\` is not for \`check\`, which reads the whole file; leave it empty"
fi
name='^[A-Za-z0-9][A-Za-z0-9._-]*$'
if [[ -n $stage ]] && ! [[ $stage =~ $name ]]; then
  refuse $CONFIGURATION "the input \`stage\` is \`$(shown "$stage")\`: a stage's name has letters, digits and . _ -"
fi
set --
if [[ -n $directory ]]; then
  if [[ ! -d $directory ]]; then refuse $CONFIGURATION "the input \`working-directory\` names no folder: $(shown "$directory")"; fi
  set -- "--directory=$directory"
fi
set -- "$@" "$command"
set -f
for model in ${models//,/ }; do
  if ! [[ $model =~ $name ]]; then
    refuse $CONFIGURATION "the input \`models\` has \`$(shown "$model")\`: a model's name has letters, digits and . _ -; separate names by commas, blanks or lines"
  fi
  set -- "$@" "--model=$model"
done
set +f
if [[ -n $stage ]]; then set -- "$@" "--stage=$stage"; fi
if [[ $yes == true ]]; then set -- "$@" --yes; fi

# The program.
if [[ -n $binary ]]; then
  if [[ $from_source == true ]]; then refuse $CONFIGURATION "\`binary-path\` and \`build-from-source\` exclude each other: keep one"; fi
  if [[ ! -f $binary || ! -x $binary ]]; then
    refuse $CONFIGURATION "the input \`binary-path\` names no program that can be started: $(shown "$binary")"
  fi
else
  # shellcheck source=action/fetch.sh
  source "$action_path/action/fetch.sh"
  if [[ $from_source == true ]]; then build_program; else find_program; fi
fi

if [[ -n $token ]]; then export GITHUB_TOKEN=$token; fi
if [[ -n $home ]]; then export BRANCHLINE_HOME=$home; fi
exec "$binary" "$@"
