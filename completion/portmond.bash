# SPDX-License-Identifier: MIT
# Completion of portmond(8) in bash.

_portmond() {
    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}
    local kind=-W words=''

    # "--port=80" comes as three words.
    [[ $option == '=' ]] && option=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $cur == '=' ]]; then
        cur=
    elif [[ $cur == -* ]]; then
        option=
    fi

    case $option in
        -c | --config | --socket)
            kind=-f ;;
        --data-dir)
            kind=-d ;;
        --log-level)
            words='debug info warn error' ;;
        --collector)
            words='auto sock_ops+tracepoint tracepoint sock_ops fallback diag' ;;
        -p | --port | --retention-days) ;;
        *)
            words='-c --config -p --port --data-dir --retention-days --socket --log-level --collector
                --check --doctor -h --help --version' ;;
    esac
    if [[ $kind == -W ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen "$kind" -- "$cur")
    fi
}

complete -F _portmond portmond
