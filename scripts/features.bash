# shellcheck shell=bash
# To be sourced: sets `features`, cargo's arguments for the features of the library (docs/adr/0026).
#
# Environment:
#   SKYLINE_FEATURES               features beside the default ones, apart by commas: events, update, ring
#   SKYLINE_NO_DEFAULT_FEATURES=1  without the default ones, which are events and update

# Never empty: the bash of macOS takes an empty array for one that is unset.
# shellcheck disable=SC2034 # for the script that sources this
features=(--features "${SKYLINE_FEATURES:-}")
[[ ${SKYLINE_NO_DEFAULT_FEATURES:-} != 1 ]] || features+=(--no-default-features)
