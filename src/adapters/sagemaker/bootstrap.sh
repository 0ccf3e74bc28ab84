#!/bin/sh
# Branchline: puts the source where training expects it, sets the variables of the SageMaker training toolkit and runs
# the command. POSIX sh; the image needs sh, tar with gzip, cat, sed, tr and env.
#
# In: $ml/input/data/branchline/source.tar.gz, $ml/input/data/branchline-run/{environment.sh,command}.
set -u
ml="${BRANCHLINE_ML:-/opt/ml}"
source="$ml/input/data/branchline"
run="$ml/input/data/branchline-run"

# SageMaker shows the first 1024 characters of this file as the reason.
fail() {
    mkdir -p "$ml/output"
    printf '%s' "$1" >"$ml/output/failure"
    printf 'branchline: %s\n' "$1" >&2
    exit "$2"
}

for tool in tar gzip cat sed tr env; do
    command -v "$tool" >/dev/null 2>&1 ||
        fail "the image has no $tool, which is needed to unpack the source: install it, or use an image that trains by itself" 126
done
mkdir -p "$ml/code" "$ml/model" "$ml/output/data" "$ml/output/intermediate" ||
    fail "the folders of the training contract cannot be made in $ml" 1
tar -xzf "$source/source.tar.gz" -C "$ml/code" || fail "the source archive cannot be unpacked" 1
cd "$ml/code" || fail "$ml/code cannot be entered" 1

# What the machine knows. One line, whatever the file looks like.
if [ -r "$ml/input/config/resourceconfig.json" ]; then
    resource=$(tr -d '\r\n' <"$ml/input/config/resourceconfig.json")
else
    resource='{"current_host":"algo-1","hosts":["algo-1"]}'
fi
field() { printf '%s' "$resource" | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }
host=$(field current_host)
hosts=$(printf '%s' "$resource" | sed -n 's/.*"hosts" *: *\(\[[^]]*\]\).*/\1/p')
kind=$(field current_instance_type)
network=$(field network_interface_name)
host="${host:-algo-1}"
hosts="${hosts:-[\"$host\"]}"
first=$(printf '%s' "$hosts" | sed -n 's/^\[ *"\([^"]*\)".*/\1/p')
first="${first:-$host}"
if [ "$host" = "$first" ]; then is_first=true; else is_first=false; fi
cpus=$(nproc 2>/dev/null || echo 1)
gpus=0
for device in /dev/nvidia[0-9]*; do
    if [ -e "$device" ]; then gpus=$((gpus + 1)); fi
done
group=$(field current_group_name)
# The source comes first on Python's module path, as it does on a laptop.
modules="$ml/code"
if [ -d "$ml/code/src" ]; then modules="$modules:$ml/code/src"; fi
modules="$modules${PYTHONPATH:+:$PYTHONPATH}"

set --
known='{'
. "$run/environment.sh" || fail "the variables of the training cannot be read" 1
machine="\"current_host\":\"$host\",\"hosts\":$hosts,\"is_master\":$is_first,\"master_hostname\":\"$first\""
machine="$machine,\"num_cpus\":$cpus,\"num_gpus\":$gpus,\"network_interface_name\":\"$network\""
machine="$machine,\"current_instance_type\":\"$kind\",\"resource_config\":$resource"
set -- "$@" "SM_CURRENT_HOST=$host" "SM_HOSTS=$hosts" "SM_MASTER=$first" "SM_NUM_CPUS=$cpus" "SM_NUM_GPUS=$gpus" \
    "SM_CURRENT_INSTANCE_TYPE=$kind" "SM_NETWORK_INTERFACE_NAME=$network" "SM_RESOURCE_CONFIG=$resource" \
    "SM_TRAINING_ENV=$known,$machine}" "PYTHONUNBUFFERED=${PYTHONUNBUFFERED:-1}" "PYTHONPATH=$modules" \
    "SM_CURRENT_INSTANCE_GROUP=${group:-homogeneousCluster}"
# Later than every file of the source: what is newer was written by the command.
{ true >"$ml/.branchline-began"; } 2>/dev/null || true
command=$(cat "$run/command") || fail "the command of the training cannot be read" 1

# Not `exec`: a process that is the first of a container ignores SIGTERM unless it asks for it, and training has 120
# seconds to end well after one.
if command -v setsid >/dev/null 2>&1; then
    setsid env "$@" /bin/sh -c "$command" &
else
    env "$@" /bin/sh -c "$command" &
fi
child=$!
trap 'kill -TERM "-$child" 2>/dev/null || kill -TERM "$child" 2>/dev/null' TERM INT
wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
done
if [ "$code" != 0 ] || [ "$is_first" != true ]; then exit "$code"; fi

# For people: what the command wrote in its working folder. The images that lack these tools only miss the list.
written() {
    if command -v find >/dev/null 2>&1 && command -v head >/dev/null 2>&1 && [ -e "$ml/.branchline-began" ]; then
        find . -type f -newer "$ml/.branchline-began" ! -path '*/__pycache__/*' | head -n 10 | sed 's#^\./##' | tr '\n' ' '
    fi
}

# What the command left in its working folder and `outputs` declares. A pattern is expanded, and never split.
tab=$(printf '\t')
if [ -r "$run/outputs" ]; then
    while IFS="$tab" read -r what pattern; do
        if [ "$what" = file ]; then
            if [ -f "$pattern" ] && [ ! -L "$pattern" ]; then
                to="$ml/output/data/branchline-outputs/$pattern"
                mkdir -p "${to%/*}" && cp "$pattern" "$to" || fail "$pattern cannot be collected" 1
            fi
            continue
        fi
        any=
        before=$IFS
        IFS=
        for found in $pattern; do
            if [ ! -e "$found" ] && [ ! -L "$found" ]; then continue; fi
            any=yes
            name=${found##*/}
            if [ -L "$found" ]; then fail "$found is a symbolic link: name the file itself in \`outputs\`" 1; fi
            if [ -e "$ml/model/$name" ]; then
                if cmp -s "$found" "$ml/model/$name" 2>/dev/null; then continue; fi
                fail "wrote two outputs of one name: $name" 1
            fi
            cp -R "$found" "$ml/model/$name" || fail "$found cannot be collected" 1
        done
        IFS=$before
        if [ -z "$any" ]; then
            new=$(written)
            fail "wrote nothing that \`outputs.model\` names: $pattern${new:+; in its working folder it wrote ${new% }}" 1
        fi
    done <"$run/outputs"
fi

if command -v find >/dev/null 2>&1 && [ -e "$ml/.branchline-began" ] && [ -z "$(find "$ml/model" -type f | sed -n 1p)" ]; then
    new=$(written)
    if [ -n "$new" ]; then
        printf 'branchline: no model; the command wrote in its working folder: %s\n' "$new" >&2
    fi
fi
exit 0
