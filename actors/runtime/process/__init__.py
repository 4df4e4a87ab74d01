"""An actor in a process of its own. The only place of the runtime that starts processes and opens pipes.

    codec    values <-> bytes, pure: builtins and the classes that an actor names in `wire`
    errors   what can go wrong between two processes, and errors as values that travel
    frames   what the two processes say to each other
    pipe     frames over a socket pair, on either loop
    birth    starts a process, notices its end, kills it
    stand_in the actor and its cell in this process: mailbox, monitors, exits, as for every other
    hosted   the system of the other process, and its addresses, which lead here
    child    the other process's main program

The parent decides: the child process has no supervisor of its own and ends when its pipe does.
"""
