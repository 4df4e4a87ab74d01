%% The BEAM side of the runtime's workloads: an OTP gen_server doing what our actor does.
-module(bench).
-behaviour(gen_server).
-export([tell/0, call/0, ring/0, spawn/0, restart/0]).
-export([start_child/0, supervisor/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(TELLS, 1000000).
-define(CALLS, 300000).
-define(RING, 1000).
-define(HOPS, 1000000).
-define(SPAWNS, 50000).
-define(RESTARTS, 500).

init(counter) -> {ok, 0};
init(ring) -> {ok, undefined};
init(supervisor) ->
    {ok, {#{intensity => ?RESTARTS + 1, period => 3600},
          [#{id => child, start => {?MODULE, start_child, []}}]}}.

handle_call(get, _From, State) -> {reply, State, State};
handle_call({next, Pid}, _From, _State) -> {reply, ok, Pid}.

handle_cast(crash, _State) -> error(asked_to);
handle_cast(tick, State) -> {noreply, State + 1};
handle_cast({hop, 0, Owner}, State) -> Owner ! done, {noreply, State};
handle_cast({hop, N, Owner}, Next) -> gen_server:cast(Next, {hop, N - 1, Owner}), {noreply, Next}.

micros(Fun) -> {Micros, _} = timer:tc(Fun), Micros.

%% Messages per second: one burst to a counter, until it has counted them all.
tell() ->
    {ok, Pid} = gen_server:start(?MODULE, counter, []),
    Micros = micros(fun() ->
        lists:foreach(fun(_) -> gen_server:cast(Pid, tick) end, lists:seq(1, ?TELLS)),
        ?TELLS = gen_server:call(Pid, get, infinity)
    end),
    ?TELLS / Micros * 1.0e6.

%% Microseconds per call of an idle server.
call() ->
    {ok, Pid} = gen_server:start(?MODULE, counter, []),
    lists:foreach(fun(_) -> gen_server:call(Pid, get) end, lists:seq(1, 1000)),
    Micros = micros(fun() -> calls(Pid, ?CALLS) end),
    Micros / ?CALLS.

calls(_Pid, 0) -> ok;
calls(Pid, N) -> gen_server:call(Pid, get), calls(Pid, N - 1).

%% Hops per second around a ring, one message in flight.
ring() ->
    Pids = [element(2, gen_server:start(?MODULE, ring, [])) || _ <- lists:seq(1, ?RING)],
    lists:foreach(fun({Pid, Next}) -> gen_server:call(Pid, {next, Next}) end,
                  lists:zip(Pids, tl(Pids) ++ [hd(Pids)])),
    Self = self(),
    Micros = micros(fun() ->
        gen_server:cast(hd(Pids), {hop, ?HOPS, Self}),
        receive done -> ok end
    end),
    ?HOPS / Micros * 1.0e6.

%% Microseconds to start one server, init included.
spawn() ->
    lists:foreach(fun(_) -> {ok, Pid} = gen_server:start(?MODULE, counter, []), gen_server:stop(Pid) end,
                  lists:seq(1, 1000)),
    Micros = micros(fun() -> spawns(?SPAWNS) end),
    Micros / ?SPAWNS.

spawns(0) -> ok;
spawns(N) -> {ok, _} = gen_server:start(?MODULE, counter, []), spawns(N - 1).

%% Microseconds from the message that crashes a child until its replacement answers: the median.
restart() ->
    logger:set_primary_config(level, none),
    {ok, _} = supervisor(),
    Times = lists:sort([restarted() || _ <- lists:seq(1, ?RESTARTS)]),
    lists:nth(?RESTARTS div 2, Times).

supervisor() -> supervisor:start_link(?MODULE, supervisor).
start_child() -> gen_server:start_link({local, child}, ?MODULE, counter, []).

restarted() ->
    Old = whereis(child),
    micros(fun() -> gen_server:cast(Old, crash), answered(Old) end).

answered(Old) ->
    case whereis(child) of
        New when is_pid(New), New =/= Old -> gen_server:call(New, get);
        _ -> erlang:yield(), answered(Old)
    end.
