# SPDX-License-Identifier: MIT
# Completion of portmon(1) in fish.

# What stands before the cursor, without options and their values: the verb and its parameters.
function __portmon_words
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if string match -qr -- '^(-[Hpn]|--(host|socket|port|role|cycle-day|cycle|from|to|by|limit|interval))$' $word
            set value yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __portmon_no_verb
    test (count (__portmon_words)) = 0
end

# Whether the verb is one of the arguments.
function __portmon_verb
    set -l words (__portmon_words)
    test (count $words) -gt 0; and contains -- $words[1] $argv
end

# Whether the verb is one of the arguments, and its first parameter is wanted.
function __portmon_first_parameter
    set -l words (__portmon_words)
    test (count $words) = 1; and contains -- $words[1] $argv
end

# The ports that are watched, with their descriptions, by the portmond that --socket names.
function __portmon_watched
    set -l where (commandline -opc | string match -r -- '^--socket=.*')
    set -l words (commandline -opc)
    if set -l at (contains -i -- --socket $words)
        set where --socket $words[(math $at + 1)]
    end
    portmon $where list-ports 2>/dev/null | string replace -rf '^ *([0-9]+) *(.*)' '$1\t$2'
end

# The ports that somebody listens on.
function __portmon_listening
    ss -Hltn 2>/dev/null | awk '{ sub(".*:", "", $4); print $4 }'
end

complete -c portmon -f

complete -c portmon -s H -l host -x -a '(__fish_complete_user_at_hosts)' -d 'Ask portmond on another host, by ssh'
complete -c portmon -l socket -r -F -d 'Ask on this socket, not on the system bus'
complete -c portmon -s h -l help -d 'Show this help'
complete -c portmon -l version -d 'Show the version'

complete -c portmon -n __portmon_no_verb -a stats -d 'Show live figures, or those of a range of days'
complete -c portmon -n __portmon_no_verb -a history -d 'Show what was transferred in each interval'
complete -c portmon -n __portmon_no_verb -a connections -d 'List open connections, the busiest first'
complete -c portmon -n __portmon_no_verb -a watch -d 'Print a line every second until interrupted'
complete -c portmon -n __portmon_no_verb -a status -d 'Show the state of portmond'
complete -c portmon -n __portmon_no_verb -a doctor -d 'Look for what may be wrong, and say what to do'
complete -c portmon -n __portmon_no_verb -a list-ports -d 'List the ports that are watched'
complete -c portmon -n __portmon_no_verb -a add-port -d 'Watch a port from now on'
complete -c portmon -n __portmon_no_verb -a remove-port -d 'Stop watching a port; its history stays'
complete -c portmon -n __portmon_no_verb -a describe-port -d 'Call a port something'
complete -c portmon -n __portmon_no_verb -a flush -d 'Write all that is counted to the ledger now'
complete -c portmon -n __portmon_no_verb -a tui -d 'Show a dashboard until q is pressed'

complete -c portmon -n '__portmon_verb stats history connections watch tui' -s p -l port -x -a '(__portmon_watched)' -d 'Only this port'
complete -c portmon -n '__portmon_verb stats history watch tui' -l role -x -a 'server client' -d 'Server (accepted here) or client'
complete -c portmon -n '__portmon_verb stats history' -l today -d 'Since midnight'
complete -c portmon -n '__portmon_verb stats history' -l this-month -d 'Since the first of this month'
complete -c portmon -n '__portmon_verb stats history' -l last-7-days -d 'Today and the 6 days before'
complete -c portmon -n '__portmon_verb stats history' -l last-30-days -d 'Today and the 29 days before'
complete -c portmon -n '__portmon_verb stats history' -l cycle-day -x -a '(seq 31)' -d 'The billing cycle from this day on'
complete -c portmon -n '__portmon_verb stats history' -l cycle -x -a '0 -(seq 12)' -d '0: this billing cycle, -1: the one before'
complete -c portmon -n '__portmon_verb stats history' -l from -x -a '(date +%F)' -d 'From this day on'
complete -c portmon -n '__portmon_verb stats history' -l to -x -a '(date +%F)' -d 'Up to and including this day'
complete -c portmon -n '__portmon_verb history' -l by -x -a '5min hour day month' -d 'How long an interval is'
complete -c portmon -n '__portmon_verb history' -l limit -x -d 'The last rows only'
complete -c portmon -n '__portmon_verb history' -l top -d 'The heaviest rows first'
complete -c portmon -n '__portmon_verb watch tui' -s n -l interval -x -d 'Seconds from one look to the next'
complete -c portmon -n '__portmon_verb stats history watch' -l utc -d 'Show times in UTC'
complete -c portmon -n '__portmon_verb stats history connections watch tui' -l si -d 'Units of 1000 bytes, not 1024'
complete -c portmon -n '__portmon_verb history' -l csv -d 'Print comma-separated values'
complete -c portmon -n '__portmon_verb stats history connections watch status doctor list-ports' -l json -d 'Print JSON'

complete -c portmon -n '__portmon_first_parameter add-port' -a '(__portmon_listening)' -d 'Somebody listens'
complete -c portmon -n '__portmon_first_parameter remove-port describe-port' -a '(__portmon_watched)'
