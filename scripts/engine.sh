#!/usr/bin/env bash
# Usage: scripts/engine.sh [--print-runtime]
#
# Arranges a Docker engine. Where `docker info` answers it does nothing. Else, as root on Debian, it installs docker.io,
# starts dockerd and waits until it answers. Elsewhere it says what to do. Run it as often as you like.
#
# Some hosts (containers, CI sandboxes) lack capabilities that Docker gives to privileged containers, and runc then
# fails with "unable to apply caps". There, dockerd gets a runtime that asks for what the host can grant:
# /usr/local/lib/slipway/runc-bounded, named in /etc/docker/daemon.json. --print-runtime prints it and changes nothing.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "$0")/machine.sh"

RUNTIME=/usr/local/lib/slipway/runc-bounded
DAEMON_JSON=/etc/docker/daemon.json
LOG=/var/log/dockerd.log
WAIT_SECONDS=60
# The order is the kernel's: a capability's number is its place here, from 0.
CAPABILITIES=(CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
  NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
  SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
  AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
  CHECKPOINT_RESTORE)

main() {
  case ${1:-} in
    -h | --help) usage; exit ;;
    --print-runtime) write_runtime; exit ;;
    "") ;;
    *) usage >&2; exit 2 ;;
  esac
  if answers; then
    say "a Docker engine answers ($(docker info -f '{{.ServerVersion}}' 2>/dev/null)): nothing to do"
    return
  fi
  refuse_what_is_not_ours
  [ -z "$(missing_capabilities)" ] || bound_capabilities
  install
  start
}

answers() { has docker && bounded 20 docker info >/dev/null 2>&1; }

# An engine that the user has chosen, or one that is there and refuses us, is not mended by starting another.
refuse_what_is_not_ours() {
  local context
  if [ -n "${DOCKER_HOST:-}" ]; then
    fail "the Docker engine of DOCKER_HOST ($DOCKER_HOST) does not answer" "Start it, or unset DOCKER_HOST, then run this again."
  fi
  if has docker; then
    context=$(docker context inspect -f '{{.Name}}' 2>/dev/null) || context=default
    [ "$context" = default ] ||
      fail "the Docker engine of the context $context does not answer" "Start it, or choose another: docker context use default"
    if docker info 2>&1 | grep -qi 'permission denied'; then
      fail "the Docker engine refuses this user" "Join its group and log in again (sudo usermod -aG docker $(id -un)), or run this as root."
    fi
  fi
  [ "$(uname -s)" != Darwin ] || fail "no Docker engine answers" "Start Docker Desktop, Colima or another engine, then run this again."
  [ -f /etc/debian_version ] || fail "no Docker engine answers, and only on Debian can this script install one" \
    "Install Docker (https://docs.docker.com/engine/install/) and start it, then run this again."
  [ "$(id -u)" -eq 0 ] || fail "no Docker engine answers, and installing one needs root" \
    "Run this as root (sudo scripts/engine.sh), or install and start Docker, then run this again."
}

# missing_capabilities: what this host cannot grant, as CAP_ names on one line; nothing where the bounding set is full.
missing_capabilities() {
  local bounding last number names=()
  bounding=$((16#$(awk '$1 == "CapBnd:" {print $2}' /proc/self/status)))
  last=$(cat /proc/sys/kernel/cap_last_cap)
  for number in "${!CAPABILITIES[@]}"; do
    [ "$number" -le "$last" ] || break
    [ $((bounding >> number & 1)) -eq 1 ] || names+=("CAP_${CAPABILITIES[$number]}")
  done
  echo "${names[*]-}"
}

# write_runtime: prints an OCI runtime that is runc, but for the capabilities that the host lacks.
write_runtime() {
  local missing
  missing=$(missing_capabilities)
  cat <<EOT
#!/bin/sh
# Made by slipway's scripts/engine.sh for this host, whose capability bounding set lacks: ${missing:-nothing}.
# runc cannot grant these, and fails when it is asked to; so they are taken out of what it is asked for.
missing='$missing'
EOT
  cat <<'EOT'
drop() {
  [ -n "$missing" ] && [ -f "$1" ] || return 0
  jq -c --arg missing "$missing" "($2) |= (if type == \"object\" then map_values(if type == \"array\" then . - (\$missing / \" \") else . end) else . end)" \
    "$1" >"$1.bounded" && cat "$1.bounded" >"$1"
  rm -f "$1.bounded"
}
previous=
for argument in "$@"; do
  case $argument in
    --bundle=*) drop "${argument#*=}/config.json" .process.capabilities ;;
    --process=*) drop "${argument#*=}" .capabilities ;;
  esac
  case $previous in
    --bundle | -b) drop "$argument/config.json" .process.capabilities ;;
    --process | -p) drop "$argument" .capabilities ;;
  esac
  previous=$argument
done
exec runc "$@"
EOT
}

# bound_capabilities: the runtime, and dockerd told of it, before dockerd is installed and may be started by the package.
bound_capabilities() {
  say "this host cannot grant $(missing_capabilities): Docker gets a runtime that does not ask for it"
  need jq jq
  mkdir -p "$(dirname "$RUNTIME")" "$(dirname "$DAEMON_JSON")"
  write_runtime >"$RUNTIME.new"
  chmod 755 "$RUNTIME.new"
  mv "$RUNTIME.new" "$RUNTIME"
  if [ ! -s "$DAEMON_JSON" ]; then
    jq -n --arg runtime "$RUNTIME" '{"default-runtime": "bounded", runtimes: {bounded: {path: $runtime}}}' >"$DAEMON_JSON"
    say "wrote $DAEMON_JSON and $RUNTIME"
  elif ! jq -e --arg runtime "$RUNTIME" '.runtimes[."default-runtime"].path == $runtime' "$DAEMON_JSON" >/dev/null 2>&1; then
    fail "$DAEMON_JSON exists, and does not use the runtime that this host needs" \
      "Add to it: \"default-runtime\": \"bounded\", \"runtimes\": {\"bounded\": {\"path\": \"$RUNTIME\"}}" "Then run this again."
  fi
}

install() {
  local packages=(docker.io iptables ca-certificates)
  if has dockerd && has docker && has iptables; then return; fi
  # Where the kernel enforces AppArmor, dockerd loads a profile with this.
  [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || packages+=(apparmor)
  apt_install "${packages[@]}"
  hash -r
}

start() {
  # The package may have started it.
  if ! answers; then
    if [ -d /run/systemd/system ]; then
      say "starting docker.service"
      systemctl enable --now docker.service || { journalctl -u docker.service -n 20 --no-pager >&2 || true; fail "docker.service does not start" "See the lines above."; }
    else
      mount_cgroups
      say "starting dockerd (log: $LOG)"
      # A session of its own: it outlives this shell and its terminal.
      setsid nohup dockerd >>"$LOG" 2>&1 </dev/null &
    fi
  fi
  wait_for_engine "${!:-}"
  say "a Docker engine answers ($(docker info -f '{{.ServerVersion}}')); to remove it: stop dockerd, apt-get purge docker.io, rm -r /var/lib/docker"
}

# A machine that some other init has started may have no cgroups mounted.
mount_cgroups() {
  if [ -f /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/devices ]; then return; fi
  need cgroupfs-mount cgroupfs-mount
  cgroupfs-mount || say "cgroupfs-mount did not succeed; dockerd's log will tell what it lacks"
}

# wait_for_engine [PID]: PID is dockerd's, if this script started it; its end ends the wait.
wait_for_engine() {
  local deadline=$((SECONDS + WAIT_SECONDS))
  until answers; do
    if [ $SECONDS -ge $deadline ] || { [ -n "$1" ] && ! kill -0 "$1" 2>/dev/null; }; then
      tail -n 20 "$LOG" >&2 2>/dev/null || true
      fail "dockerd does not answer$([ $SECONDS -lt $deadline ] || echo " after $WAIT_SECONDS s")" "The lines above are the end of its log. See $LOG."
    fi
    sleep 0.5
  done
}

main "$@"
