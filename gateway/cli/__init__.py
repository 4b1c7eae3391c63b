"""The `gateway` command.

    root      the group, and what errors become     session   settings and the database
    output    tables and JSON                       values    amounts and times on the line
    account, message, carrier, audit, settings, run           the commands

Exit status: 0 done; 1 it failed, or the audit disagrees; 2 the command line or a setting is wrong.
"""
