# shellcheck shell=bash
# To be sourced: runs named steps one after another, whatever becomes of each, and sums up.

passed_steps=()
failed_steps=()

# step NAME COMMAND...   runs the command and remembers how it ended
step() {
  local name=$1 begun=$SECONDS
  shift
  printf '\n=== %s\n' "$name"
  if "$@"; then
    passed_steps+=("$name")
    printf '=== %s: passed in %s s\n' "$name" "$((SECONDS - begun))"
  else
    failed_steps+=("$name")
    printf '=== %s: FAILED after %s s\n' "$name" "$((SECONDS - begun))"
  fi
}

# finish [TITLE]   prints the sum, whose form CI reads, and exits with 1 if a step failed
finish() {
  printf '\n'
  ((${#failed_steps[@]} == 0)) || printf 'failed: %s\n' "${failed_steps[@]}"
  printf '%s%s passed, %s failed\n' "${1:+$1: }" "${#passed_steps[@]}" "${#failed_steps[@]}"
  exit "$((${#failed_steps[@]} > 0))"
}
