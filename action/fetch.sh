# Sourced by `start.sh`: finds the released program in the runner's tool cache or fetches it, and sets `binary`.
#
# No API is asked and no token is sent: the address of a release file is fixed. What may be run is decided by
# `checksums.txt`, which is part of the action's own commit; it is held against the file at every use, also out of the cache,
# which other jobs of a self-hosted runner can write to.
# shellcheck shell=bash

# Sets `target`: which of the five builds runs here.
find_target() {
  local os=${RUNNER_OS:-} arch=${RUNNER_ARCH:-}
  if [[ -z $os ]]; then os=$(uname -s); fi
  if [[ -z $arch ]]; then arch=$(uname -m); fi
  member=branchline
  case $os:$arch in
    Linux:X64 | Linux:x86_64) target=x86_64-unknown-linux-musl ;;
    Linux:ARM64 | Linux:aarch64) target=aarch64-unknown-linux-musl ;;
    macOS:X64 | Darwin:x86_64) target=x86_64-apple-darwin ;;
    macOS:ARM64 | Darwin:arm64) target=aarch64-apple-darwin ;;
    Windows:X64)
      target=x86_64-pc-windows-msvc
      member=branchline.exe
      ;;
    *) refuse "$CONFIGURATION" "there is no Branchline for $(shown "$os") on $(shown "$arch"); there is one for Linux and macOS on X64 and ARM64, and for Windows on X64. Otherwise $OTHER_WAY" ;;
  esac
}

# Sets `archive_sha256` and `binary_sha256` from the table. The builtin `read`: no fork.
find_checksums() {
  local row_version row_target row_archive row_binary rest digest='^[0-9a-f]{64}$'
  archive_sha256='' binary_sha256=''
  while read -r row_version row_target row_archive row_binary rest || [[ -n ${row_version:-} ]]; do
    if [[ $row_version == "$version" && $row_target == "$target" ]]; then
      archive_sha256=$row_archive binary_sha256=$row_binary
      break
    fi
  done <"$action_path/action/checksums.txt"
  if ! [[ $archive_sha256 =~ $digest && $binary_sha256 =~ $digest && -z ${rest:-} ]]; then
    refuse "$CONFIGURATION" "no checksum for version $version on $target stands in this commit of the Action, so it is not run. Use the commit of the release that has this version, leave the input \`version\` out, or $OTHER_WAY"
  fi
}

# Sets `digest_of` to the SHA-256 of a file.
digest() {
  if command -v sha256sum >/dev/null; then
    digest_of=$(sha256sum <"$1")
  elif command -v shasum >/dev/null; then
    digest_of=$(shasum -a 256 <"$1")
  elif command -v certutil >/dev/null; then
    # Line 2 of its answer; old ones print a blank between the bytes.
    digest_of=$(certutil -hashfile "$1" SHA256 | sed -n 2p | tr -d ' \r')
  else
    refuse "$CONFIGURATION" "this runner has none of sha256sum, shasum and certutil, so no download can be checked: $OTHER_WAY"
  fi
  digest_of=${digest_of%%[^0-9a-fA-F]*}
}

# Runs a long command so that a cancelled job ends at once: bash would wait for it, and then go on to start the program.
cancellable() {
  local status=0
  "$@" &
  child=$!
  trap 'kill "$child" 2>/dev/null; outputs cancelled 130; exit 130' INT
  trap 'kill "$child" 2>/dev/null; outputs cancelled 143; exit 143' TERM
  wait "$child" || status=$?
  trap - INT TERM
  return "$status"
}

# Sets `base_url` where no mirror is named: the releases of the repository that this action is from.
find_base_url() {
  local protocols='=https' repository path slug='^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$'
  if [[ -z $base_url ]]; then
    # The runner's own folder says it best: inside a composite action the variable may be empty.
    repository=${GITHUB_ACTION_REPOSITORY:-}
    if [[ $action_path == */_actions/*/*/* ]]; then
      path=${action_path##*/_actions/}
      repository=${path%%/*}
      path=${path#*/}
      repository=$repository/${path%%/*}
    fi
    if ! [[ $repository =~ $slug ]]; then
      refuse "$CONFIGURATION" "from which repository this Action comes is not known (\`uses: ./\`?), so there is no release to fetch: set \`download-base-url\`, or \`build-from-source: true\`, or $OTHER_WAY"
    fi
    base_url=https://github.com/$repository/releases/download
  fi
  base_url=${base_url%/}
  case $base_url in
    *[!A-Za-z0-9._~:/%+@-]*) refuse "$CONFIGURATION" "the input \`download-base-url\` has blanks or other characters that an address of a mirror has not: $(shown "$base_url")" ;;
    https://*@*) refuse "$CONFIGURATION" "the input \`download-base-url\` has a name or a password in it; downloads are made without any: checksums protect them. Or $OTHER_WAY" ;;
    https://*) ;;
    http://127.0.0.1:*)
      # Only for the tests of this script.
      if [[ ${BRANCHLINE_TEST_LOOPBACK_HTTP:-} != 1 ]]; then
        refuse "$CONFIGURATION" "the input \`download-base-url\` must begin with https://, not with http://"
      fi
      protocols='=http'
      ;;
    *) refuse "$CONFIGURATION" "the input \`download-base-url\` must begin with https://: $(shown "$base_url")" ;;
  esac
  allowed=$protocols
}

# Fetches, checks and unpacks into `folder`, which is beside its final place: the last step is a rename.
fetch() {
  local archive="$folder/archive.tar.gz" url="$base_url/v$version/branchline-$target.tar.gz" status=0 first=''
  if ! command -v curl >/dev/null; then refuse "$CONFIGURATION" "this runner has no curl: install it, or $OTHER_WAY"; fi
  printf 'fetching %s\n' "$url"
  # -q: no .curlrc, which could add headers or switch checks off.
  cancellable curl -q --proto "$allowed" --proto-redir "$allowed" --tlsv1.2 --fail --silent --show-error --location --max-redirs 5 \
    --connect-timeout 15 --max-time 300 --retry 3 --output "$archive" -- "$url" || status=$?
  case $status in
    0) ;;
    130 | 143) exit "$status" ;;
    18) refuse "$ERRORED" "the download of $url broke off. Run the job again; if it happens again, name a mirror with \`download-base-url\`, or $OTHER_WAY" ;;
    22) refuse "$ERRORED" "the server has no $url (an error answer). Is the version right, and does \`download-base-url\` hold all files of the release? Otherwise $OTHER_WAY" ;;
    *) refuse "$ERRORED" "could not fetch $url (curl ended with $status). Run the job again; without a route to the server name a mirror with \`download-base-url\`, or $OTHER_WAY" ;;
  esac
  digest "$archive"
  if [[ $digest_of != "$archive_sha256" ]]; then
    IFS= LC_ALL=C read -r -n 1 -d '' first <"$archive" 2>/dev/null || true
    if [[ $first == '<' ]]; then
      refuse "$ERRORED" "$url answered with a web page instead of the program (a proxy's or a login page?). Nothing was run. Name a mirror with \`download-base-url\`, or $OTHER_WAY"
    fi
    refuse "$ERRORED" "$url is not the file that was released: its SHA-256 is $digest_of, and $archive_sha256 was released. It was cut short or changed on the way. Nothing was run. Run the job again; if it stays so, tell the mirror's owner, or $OTHER_WAY"
  fi
  if ! tar -xzOf - "$member" <"$archive" >"$folder/$member" 2>/dev/null; then
    refuse "$ERRORED" "$url could not be unpacked with this runner's tar (is the disk full?). Nothing was run. Otherwise $OTHER_WAY"
  fi
  rm -f "$archive"
  digest "$folder/$member"
  if [[ $digest_of != "$binary_sha256" ]]; then
    refuse "$ERRORED" "the program in $url is not the one that was released: its SHA-256 is $digest_of, and $binary_sha256 was released. Nothing was run. Otherwise $OTHER_WAY"
  fi
  chmod 755 "$folder/$member"
}

# Sets `binary`.
find_program() {
  local cache=${RUNNER_TOOL_CACHE:-${RUNNER_TEMP:-}} place number='^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$'
  version=${version#v}
  if ! [[ $version =~ $number ]]; then
    refuse "$CONFIGURATION" "the input \`version\` is \`$(shown "$version")\`: write a release's number, such as 0.1.0"
  fi
  if [[ -z $cache ]]; then refuse "$CONFIGURATION" "RUNNER_TOOL_CACHE and RUNNER_TEMP are not set: this is no runner. $OTHER_WAY"; fi
  cache=${cache//\\//}
  find_target
  find_checksums
  place=$cache/branchline/$version/$target
  if [[ -f $place.complete && -f $place/$member ]]; then
    digest "$place/$member"
    if [[ $digest_of != "$binary_sha256" ]]; then
      refuse "$ERRORED" "$place/$member in the runner's tool cache is not the program that was released: its SHA-256 is $digest_of, and $binary_sha256 was released. Nothing was run. Find out who changed it, remove $place and run the job again, or $OTHER_WAY"
    fi
    binary=$place/$member
    return
  fi
  find_base_url
  if ! mkdir -p "$cache/branchline/$version" 2>/dev/null || ! folder=$(mktemp -d "$place.XXXXXX" 2>/dev/null); then
    refuse "$CONFIGURATION" "the runner's tool cache cannot be written: $cache. Make it writable, or $OTHER_WAY"
  fi
  trap 'rm -rf "$folder"' EXIT
  fetch
  # Two jobs of one machine may come here at once: both have the same bytes, and Windows does not replace what runs.
  if ! mkdir -p "$place" || ! mv -f "$folder/$member" "$place/$member" 2>/dev/null; then
    if [[ ! -f $place/$member ]]; then refuse "$CONFIGURATION" "the runner's tool cache cannot be written: $place. Make it writable, or $OTHER_WAY"; fi
    digest "$place/$member"
    if [[ $digest_of != "$binary_sha256" ]]; then refuse "$ERRORED" "$place/$member is not the program that was released, and cannot be replaced. Nothing was run. Remove it, or $OTHER_WAY"; fi
  fi
  : >"$place.complete"
  rm -rf "$folder"
  trap - EXIT
  binary=$place/$member
}

# Sets `binary`: built from the action's own source. The folder of the checkout has no say: its `.cargo/config.toml` and
# `rust-toolchain.toml` would be a pull request's.
build_program() {
  local cache=${RUNNER_TOOL_CACHE:-${RUNNER_TEMP:-}} status=0 suffix=''
  if [[ -z $cache ]]; then refuse "$CONFIGURATION" "RUNNER_TOOL_CACHE and RUNNER_TEMP are not set: this is no runner. $OTHER_WAY"; fi
  cache=${cache//\\//}
  if ! command -v cargo >/dev/null; then
    refuse "$CONFIGURATION" "\`build-from-source\` needs cargo and a C compiler on the runner: install Rust, or $OTHER_WAY"
  fi
  if [[ ${RUNNER_OS:-} == Windows ]]; then suffix=.exe; fi
  echo "::group::Building Branchline from source"
  cancellable in_folder "$action_path" cargo build --locked --release --bin branchline --target-dir "$cache/branchline/source" || status=$?
  echo "::endgroup::"
  case $status in
    0) ;;
    130 | 143) exit "$status" ;;
    *) refuse "$ERRORED" "building Branchline from source failed (the messages above say why). Otherwise $OTHER_WAY" ;;
  esac
  binary=$cache/branchline/source/release/branchline$suffix
}

in_folder() {
  cd "$1" || return 1
  shift
  exec "$@"
}
