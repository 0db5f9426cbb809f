# SPDX-License-Identifier: MIT
# Completion of portmond(8) in fish.

complete -c portmond -f
complete -c portmond -s c -l config -r -F -d 'Read this file'
complete -c portmond -s p -l port -x -d 'Watch this port'
complete -c portmond -l data-dir -x -a '(__fish_complete_directories)' -d 'Keep the history here'
complete -c portmond -l retention-days -x -d 'Keep 5-minute detail for 1 to 365 days'
complete -c portmond -l socket -r -F -d 'Serve clients here'
complete -c portmond -l log-level -x -a 'debug info warn error' -d 'What to log'
complete -c portmond -l collector -x -a 'auto sock_ops+tracepoint tracepoint sock_ops fallback diag' -d 'Count by this'
complete -c portmond -l check -d 'Say whether the configuration is valid, and end'
complete -c portmond -l doctor -d 'Look at all that portmond depends on, and end'
complete -c portmond -s h -l help -d 'Show this help'
complete -c portmond -l version -d 'Show the version'
