"""An actor in a process of its own. The only place of the runtime that starts processes and opens pipes.

    codec    values <-> bytes, pure: builtins and the classes that an actor names in `wire`
    errors   what can go wrong between two processes, and errors as values that travel
    frames   what the two processes say to each other
    pipe     frames over a socket pair, on either loop
    birth    starts a process, notices its end, kills it
    lifeline what ties a cell to its process: birth, pipe, pulse, end
    location where the other process finds a class
    process_cell, stand_in   the actor's cell and actor in this process: mailbox, monitors, exits, as for every other
    errands  what it wants of the actors here
    simulated   the same on a loop with virtual time, without a process
    hosted   the system of the other process, and its addresses, which lead here
    child    the other process's main program

The parent decides: the child process has no supervisor of its own and ends when its pipe does.
"""
