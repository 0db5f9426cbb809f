# SPDX-License-Identifier: MIT
# Completion of portmon(1) in bash.

# The ports that are watched, by the portmond that the arguments name.
_portmon_watched() {
    local port rest

    portmon "$@" list-ports 2>/dev/null | while read -r port rest; do
        [[ $port == [0-9]* ]] && echo "$port"
    done
}

# The ports that somebody listens on.
_portmon_listening() {
    ss -Hltn 2>/dev/null | awk '{ sub(".*:", "", $4); print $4 }'
}

_portmon() {
    local common='-H --host --socket -h --help --version'
    local ranges='--today --this-month --last-7-days --last-30-days --cycle-day --cycle --from --to'
    local valued=" -H --host --socket -p --port --role --cycle-day --cycle --from --to --by --limit \
        -n --interval "
    local -A options=(
        [stats]="-p --port $ranges --role --utc --si --json"
        [history]="-p --port $ranges --by --limit --top --role --utc --si --json --csv"
        [connections]='-p --port --si --json'
        [watch]='-p --port -n --interval --role --utc --si --json'
        [status]='--json'
        [doctor]='--json'
        [list-ports]='--json'
        [add-port]=
        [remove-port]=
        [describe-port]=
        [flush]=
        [tui]='-p --port -n --interval --role --si'
    )
    local cur=${COMP_WORDS[COMP_CWORD]} word option='' verb='' parameters=0 i
    local -a where=()

    # What stands before the cursor: a verb, how many parameters, and an option that wants a value.
    # "--port=80" comes as three words.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == '=' ]]; then
            continue
        elif [[ $option ]]; then
            [[ $option == --socket ]] && where=(--socket "$word")
            option=
        elif [[ $word == -* ]]; then
            [[ $valued == *" $word "* ]] && option=$word
        elif [[ ! $verb ]]; then
            verb=$word
        else
            ((parameters++))
        fi
    done
    [[ $cur == '=' ]] && cur=

    words() {
        mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
    }

    case $option in
        '') ;;
        -p | --port)
            words "$(_portmon_watched "${where[@]}")"
            return ;;
        -H | --host)
            mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur")
            return ;;
        --socket)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return ;;
        --role)
            words 'server client'
            return ;;
        --by)
            words '5min hour day month'
            return ;;
        --cycle-day)
            words "$(echo {1..31})"
            return ;;
        --cycle)
            words "$(echo 0 -{1..12})"
            return ;;
        --from | --to)
            words "$(date +%F)"
            return ;;
        *)
            return ;;
    esac

    if [[ $cur == -* ]]; then
        words "$common ${options[${verb:-none}]-}"
    elif [[ ! $verb ]]; then
        words "${!options[*]}"
    elif [[ $verb == @(remove|describe)-port && $parameters == 0 ]]; then
        words "$(_portmon_watched "${where[@]}")"
    elif [[ $verb == add-port && $parameters == 0 ]]; then
        words "$(_portmon_listening)"
    fi
}

complete -F _portmon portmon
