%% The BEAM side of the runtime's workloads: an OTP gen_server doing what our actor does.
%% `erl -s bench main -extra tell` runs one of them and writes its figures as JSON; the share of the work that is to be
%% done comes from the environment, as for the Python sides.
-module(bench).
-behaviour(gen_server).
-export([main/0, start_child/1, log/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(ACTORS, 1000).
-define(GROUP, 10).
-define(SUPERVISORS, 10).

main() ->
    logger:set_primary_config(level, none),
    [Name | _] = init:get_plain_arguments(),
    %% Not in the process that runs -s: that one is the boot process, with mail of its own.
    {Pid, Ref} = spawn_monitor(fun() -> write(run(Name)) end),
    receive
        {'DOWN', Ref, process, Pid, normal} -> halt(0);
        {'DOWN', Ref, process, Pid, Why} -> io:format(standard_error, "~p~n", [Why]), halt(1)
    end.

write(Figures) ->
    Written = [io_lib:format("\"~s\": ~f", [Name, float(Value)]) || {Name, Value} <- Figures],
    io:format("FIGURES {~s}~n", [lists:join(", ", Written)]).

amount(Number) ->
    Scale = case os:getenv("ALLSTOP_BENCH_SCALE", "1") of
        Text -> try list_to_float(Text) catch error:badarg -> float(list_to_integer(Text)) end
    end,
    max(10, round(Number * Scale)).

now_ns() -> erlang:monotonic_time(nanosecond).

took(Fun) -> Started = now_ns(), Fun(), now_ns() - Started.

rate(Count, Ns) -> Count / Ns * 1.0e9.

percentile(Values, Share) ->
    lists:nth(min(length(Values), trunc(length(Values) * Share) + 1), lists:sort(Values)).

run("tell") -> tell();
run("call") -> call();
run("fan_out") -> fan_out();
run("ring") -> ring();
run("spawn") -> spawn_();
run("restart") -> restart();
run("restart-captured") -> capture(), restart_captured();
run("pipeline") -> pipeline().

%% ---------- the servers

init(counter) -> {ok, 0};
init({sink, Left, Owner}) -> {ok, {sink, Left, Owner}};
init({worker, Sink, Each}) -> {ok, {worker, Sink, Each}};
init(ring) -> {ok, undefined};
init({fragile, Owner}) -> self() ! first, {ok, {fragile, Owner}};
init({feed, Strategy}) -> {ok, {feed, Strategy, #{}}};
init({strategy, Tracker}) -> {ok, {strategy, Tracker, 0, 0}};
init(tracker) -> {ok, {tracker, #{}, 0}};
init({supervisor, Strategy, Children, Restarts, Owner}) ->
    {ok, {#{strategy => Strategy, intensity => Restarts + 1, period => 1},
          [#{id => Id, start => {?MODULE, start_child, [Owner]}} || Id <- lists:seq(1, Children)]}}.

start_child(Owner) -> gen_server:start_link(?MODULE, {fragile, Owner}, []).

handle_call(get, _From, {feed, _, _} = State) -> {reply, 0, State};
handle_call(get, _From, {strategy, _, _, Acknowledged} = State) -> {reply, Acknowledged, State};
handle_call(get, _From, {tracker, _, Orders} = State) -> {reply, Orders, State};
handle_call(get, _From, State) -> {reply, State, State};
handle_call({next, Pid}, _From, _State) -> {reply, ok, Pid}.

handle_cast(tick, {sink, 1, Owner}) -> Owner ! all, {noreply, {sink, 0, Owner}};
handle_cast(tick, {sink, Left, Owner}) -> {noreply, {sink, Left - 1, Owner}};
handle_cast(tick, State) -> {noreply, State + 1};
handle_cast(go, {worker, Sink, Each} = State) -> casts(Sink, Each), {noreply, State};
handle_cast({hop, 0, Owner}, State) -> Owner ! done, {noreply, State};
handle_cast({hop, N, Owner}, Next) -> gen_server:cast(Next, {hop, N - 1, Owner}), {noreply, Next};
handle_cast(crash, {fragile, Owner}) -> Owner ! {down, now_ns()}, error(asked_to);
handle_cast({tick, Symbol, Price, Qty, Number}, {feed, Strategy, Kept}) ->
    {Mean0, Volume} = case Kept of #{Symbol := Known} -> Known; _ -> {Price, 0} end,
    Mean = Mean0 + 0.1 * (Price - Mean0),
    gen_server:cast(Strategy, {mean, Symbol, Price, Mean, Number}),
    {noreply, {feed, Strategy, Kept#{Symbol => {Mean, Volume + Qty}}}};
handle_cast({mean, Symbol, Price, Mean, Number}, {strategy, Tracker, Seen0, Acknowledged}) ->
    Seen = Seen0 + 1,
    case Seen rem 10 of
        0 ->
            Side = if Price > Mean -> buy; true -> sell end,
            gen_server:cast(Tracker, {order, self(), Seen, Symbol, Side, Price, Number});
        _ -> ok
    end,
    {noreply, {strategy, Tracker, Seen, Acknowledged}};
handle_cast({order, Sender, Id, Symbol, Side, Price, Number}, {tracker, Kept, Orders}) ->
    gen_server:cast(Sender, {ack, Id}),
    {noreply, {tracker, Kept#{Id => {Symbol, Side, Price, Number}}, Orders + 1}};
handle_cast({ack, _Id}, {strategy, Tracker, Seen, Acknowledged}) ->
    {noreply, {strategy, Tracker, Seen, Acknowledged + 1}}.

handle_info(first, {fragile, Owner} = State) -> Owner ! {up, self(), now_ns()}, {noreply, State}.

start(Argument) -> {ok, Pid} = gen_server:start(?MODULE, Argument, []), Pid.

casts(_Pid, 0) -> ok;
casts(Pid, N) -> gen_server:cast(Pid, tick), casts(Pid, N - 1).

%% ---------- the workloads

%% Messages per second: one burst to a counter, until it has counted them all.
tell() ->
    Count = amount(1000000),
    Pid = start(counter),
    [{"", rate(Count, took(fun() -> casts(Pid, Count), Count = gen_server:call(Pid, get, infinity) end))}].

%% Microseconds per call of an idle server: the median of batches.
call() ->
    Pid = start(counter),
    calls(Pid, amount(10000)),
    Batches = [took(fun() -> calls(Pid, 100) end) / 100 || _ <- lists:seq(1, amount(1000))],
    [{"", percentile(Batches, 0.5) / 1000}].

calls(_Pid, 0) -> ok;
calls(Pid, N) -> gen_server:call(Pid, get), calls(Pid, N - 1).

%% One message to each of the thousand, and again; then the thousand tell one.
fan_out() ->
    Each = amount(1000),
    Pids = [start(counter) || _ <- lists:seq(1, ?ACTORS)],
    Out = took(fun() ->
        rounds(Pids, Each),
        [Each = gen_server:call(Pid, get, infinity) || Pid <- Pids]
    end),
    Sink = start({sink, Each * ?ACTORS, self()}),
    Workers = [start({worker, Sink, Each}) || _ <- lists:seq(1, ?ACTORS)],
    In = took(fun() ->
        [gen_server:cast(Pid, go) || Pid <- Workers],
        receive all -> ok end
    end),
    [{"out", rate(Each * ?ACTORS, Out)}, {"in", rate(Each * ?ACTORS, In)}].

rounds(_Pids, 0) -> ok;
rounds(Pids, N) -> [gen_server:cast(Pid, tick) || Pid <- Pids], rounds(Pids, N - 1).

%% Hops per second around a ring, one message in flight.
ring() ->
    Hops = amount(1000000),
    Pids = [start(ring) || _ <- lists:seq(1, ?ACTORS)],
    [gen_server:call(Pid, {next, Next}) || {Pid, Next} <- lists:zip(Pids, tl(Pids) ++ [hd(Pids)])],
    Self = self(),
    [{"", rate(Hops, took(fun() -> gen_server:cast(hd(Pids), {hop, Hops, Self}), receive done -> ok end end))}].

%% Microseconds to start and to stop a server, and the bytes of the machine's memory that an idle one takes.
spawn_() ->
    [gen_server:stop(start(counter)) || _ <- lists:seq(1, amount(1000))],
    Count = amount(10000),
    erlang:garbage_collect(),
    Before = rss(),
    Started = now_ns(),
    Pids = [start(counter) || _ <- lists:seq(1, Count)],
    Start = now_ns() - Started,
    Held = rss() - Before,
    Stop = took(fun() -> [gen_server:stop(Pid) || Pid <- Pids] end),
    [{"start", Start / Count / 1000}, {"stop", Stop / Count / 1000}, {"memory", Held / Count}].

rss() ->
    {ok, Statm} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = string:split(binary_to_list(Statm), " ", all),
    list_to_integer(Pages) * 4096.

%% From the raise in a child until its replacement handles its first message: 1,000 under one supervisor, 100 under each
%% of ten; then until all of ten have.
restart() ->
    Each = amount(100),
    crashes(one_for_one, 1, 10),
    One = crashes(one_for_one, 1, amount(1000)),
    Fresh = lists:append([crashes(one_for_one, 1, Each) || _ <- lists:seq(1, ?SUPERVISORS)]),
    Group = crashes(one_for_all, ?GROUP, Each),
    [{"p50", percentile(One, 0.5) / 1000}, {"p99", percentile(One, 0.99) / 1000},
     {"fresh", percentile(Fresh, 0.5) / 1000}, {"group", percentile(Group, 0.5) / 1000},
     {"group-of-one", percentile(Group, 0.5) / percentile(Fresh, 0.5)}].

%% The same with every report kept in memory, as our side keeps its events.
restart_captured() ->
    Figures = restart(),
    Expected = 10 + amount(1000) + (?SUPERVISORS + 1) * amount(100),
    Expected = length(ets:match(reports, {'_', crash})),
    Figures.

capture() ->
    reports = ets:new(reports, [named_table, public]),
    logger:remove_handler(default),
    ok = logger:add_handler(capture, ?MODULE, #{}),
    logger:set_primary_config(level, info).

log(#{msg := {report, #{label := {gen_server, terminate}}}} = Event, _Config) ->
    ets:insert(reports, [{erlang:unique_integer(), crash}, {erlang:unique_integer(), Event}]);
log(Event, _Config) -> ets:insert(reports, {erlang:unique_integer(), Event}).

crashes(Strategy, Children, Count) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, {supervisor, Strategy, Children, Count, self()}),
    {Pid, _} = all_up(Children),
    Times = crash(Pid, Children, Count),
    unlink(Supervisor),
    Ref = monitor(process, Supervisor),
    exit(Supervisor, shutdown),
    receive {'DOWN', Ref, process, Supervisor, _} -> ok end,
    Times.

crash(_Pid, _Children, 0) -> [];
crash(Pid, Children, Count) ->
    gen_server:cast(Pid, crash),
    Down = receive {down, At} -> At end,
    {Next, Up} = all_up(Children),
    [Up - Down | crash(Next, Children, Count - 1)].

all_up(1) -> receive {up, Pid, At} -> {Pid, At} end;
all_up(Children) -> receive {up, _, _} -> all_up(Children - 1) end.

%% Ticks per second through feed, strategy and tracker.
pipeline() ->
    Count = max(1000, amount(200000)),
    Tracker = start(tracker),
    Strategy = start({strategy, Tracker}),
    Feed = start({feed, Strategy}),
    Symbols = list_to_tuple([list_to_binary("SYM" ++ integer_to_list(N)) || N <- lists:seq(0, 99)]),
    Sync = fun() -> [gen_server:call(Stage, get, infinity) || Stage <- [Feed, Strategy, Tracker]] end,
    Ns = took(fun() -> ticks(Feed, Symbols, Sync, 0, Count), Sync(), Sync() end),
    Orders = Count div 10,
    Orders = gen_server:call(Tracker, get),
    Orders = gen_server:call(Strategy, get),
    [{"", rate(Count, Ns)}].

ticks(_Feed, _Symbols, _Sync, Count, Count) -> ok;
ticks(Feed, Symbols, Sync, N, Count) ->
    gen_server:cast(Feed, {tick, element(N rem 100 + 1, Symbols), 100.0 + (N rem 37) * 0.01, 100, N}),
    case N rem 1000 of 999 -> Sync(); _ -> ok end,
    ticks(Feed, Symbols, Sync, N + 1, Count).
