// @ts-check
// What runs inside the Python interpreter, in Python: its preparation, its event loop, and the function that runs a cell.

/**
 * Before the snapshot, so that no interpreter pays for it again: the modules that code uses most, and an os.system that says what it
 * cannot do (the real one would ask Node for a shell, be refused, and take the interpreter along).
 */
export const preparation = `
import asyncio, collections, datetime, decimal, fractions, functools, heapq, itertools, json, math, os, random, re
import statistics, string
def system(command):
    raise OSError('the sandbox runs no processes')
os.system = system
del system
`

/**
 * Returns a function that makes asyncio what it is outside of a browser. Pyodide's own loop belongs to JavaScript, which cannot run while
 * Python waits, so there asyncio.run does nothing without stack switching (which Node 20 does not have). This loop is CPython's, and waits by
 * sleeping: nothing but its own timers can ever wake it. 'pause(seconds)' sleeps without using the CPU.
 *
 * A session loop is always "running" while a cell runs, as in a notebook: asyncio.create_task works in one cell and its await in a later one.
 * asyncio.run, Runner.run and run_until_complete step out of it.
 */
const eventLoop = `
def _install_event_loop(pause):
    import asyncio, functools, time
    from asyncio import base_events, events, tasks

    def sleep(seconds):
        if not isinstance(seconds, (int, float)) and not hasattr(seconds, '__float__') and not hasattr(seconds, '__index__'):
            raise TypeError(f"'{type(seconds).__name__}' object cannot be interpreted as an integer or float")
        if seconds < 0:
            raise ValueError('sleep length must be non-negative')
        pause(float(seconds))
    time.sleep = sleep

    class Waiting:
        """Stands where other loops have the selector of their sockets."""
        def select(self, timeout):
            if timeout is None:
                raise RuntimeError('what is awaited never comes: no timer and no task is left that could wake it')
            if timeout > 0:
                pause(timeout)
            return []
        def close(self):
            pass

    class stepped_out:
        """Nothing is running, as far as asyncio knows, until it ends."""
        def __enter__(self):
            self.loop = events._get_running_loop()
            self.task = tasks._swap_current_task(self.loop, None) if self.loop else None
            events._set_running_loop(None)
        def __exit__(self, *_):
            events._set_running_loop(self.loop)
            if self.loop:
                tasks._swap_current_task(self.loop, self.task)

    class EventLoop(base_events.BaseEventLoop):
        def __init__(self):
            super().__init__()
            self._selector = Waiting()
        def _process_events(self, event_list):
            pass
        def _write_to_self(self):
            pass
        def _check_running(self):
            pass
        def run_forever(self):
            with stepped_out():
                thread, stopping = self._thread_id, self._stopping
                self._thread_id = None
                try:
                    super().run_forever()
                finally:
                    self._thread_id, self._stopping = thread, stopping
        def run_until_complete(self, future):
            with stepped_out():
                return super().run_until_complete(future)
        def run_in_executor(self, executor, function, *arguments):
            # There are no threads: it is done at once.
            done = self.create_future()
            try:
                done.set_result(function(*arguments))
            except BaseException as error:
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    raise
                done.set_exception(error)
            return done
        async def shutdown_default_executor(self, timeout=None):
            pass

    class Policy(asyncio.events._BaseDefaultEventLoopPolicy):
        _loop_factory = EventLoop

    def outside(function):
        @functools.wraps(function)
        def call(*arguments, **named):
            with stepped_out():
                return function(*arguments, **named)
        return call

    from pyodide import webloop
    events._set_event_loop_policy(Policy())
    asyncio.run = outside(webloop._orig_run)
    asyncio.Runner.run = outside(asyncio.Runner.run)
    asyncio.EventLoop = asyncio.SelectorEventLoop = EventLoop
    session = EventLoop()
    asyncio.set_event_loop(session)
    events._set_running_loop(session)
    return session
`

/**
 * Makes the function that runs a cell as a notebook does: in the module __main__, \`await\` allowed, the value of a last expression
 * printed. Called with pause, the name of this code in tracebacks, and the most characters of a traceback.
 */
export const cellRunner = `${eventLoop}
def _make_run_cell(pause, __file__, most_characters):
    import __future__, ast, asyncio, inspect, linecache, sys, traceback, types
    main = sys.modules['__main__'] = types.ModuleType('__main__')
    namespace = main.__dict__
    namespace['__builtins__'] = __builtins__
    sys.argv = ['']
    future_features = 0
    for name in __future__.all_feature_names:
        future_features |= getattr(__future__, name).compiler_flag
    session = _install_event_loop(pause)
    cells = 0
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    most_notes = 4

    def evaluate(tree, filename, mode):
        nonlocal flags
        code = compile(tree, filename, mode, flags, True)
        # As in a REPL, 'from __future__' counts for what follows.
        flags |= code.co_flags & future_features
        value = eval(code, namespace)
        return wait_for(value) if code.co_flags & inspect.CO_COROUTINE else value

    def wait_for(coroutine):
        task = session.create_task(coroutine)
        try:
            return session.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                session.run_until_complete(asyncio.gather(task, return_exceptions=True))
            raise

    def execute(source, filename):
        tree = ast.parse(source, filename)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        evaluate(tree, filename, 'exec')
        if last is None:
            return
        value = evaluate(ast.Expression(last.value), filename, 'eval')
        if value is not None:
            print(repr(value))

    def report(error):
        frames = error.__traceback__
        while frames is not None and not frames.tb_frame.f_code.co_filename.startswith('<cell '):
            frames = frames.tb_next
        try:
            text = describe(error, newest(frames))
        except (MemoryError, RecursionError):
            # The frames hold what filled the memory.
            error.__traceback__ = frames = None
            text = f'{type(error).__name__}: {error}\\n'
        print(shortened(text), end='', file=sys.stderr)

    def shortened(text):
        """The middle of a long recursion says nothing, and would fill the output before the error's name comes."""
        if len(text) <= most_characters:
            return text
        half = most_characters // 2
        first, last = text[:half].rpartition('\\n')[0] or text[:half], text[-half:].partition('\\n')[2] or text[-half:]
        return f'{first}\\n  ...\\n{last}'

    def newest(frames):
        """All frames, up to the usual limit of recursion; where code has raised that, the last ones."""
        depth, at = 0, frames
        while at is not None:
            depth, at = depth + 1, at.tb_next
        for _ in range(depth - 100 if depth > 1100 else 0):
            frames = frames.tb_next
        return frames

    def describe(error, frames):
        described = traceback.TracebackException(type(error), error, frames)
        leave_out_sandbox(described)
        return ''.join(described.format())

    def leave_out_sandbox(described):
        frames = [frame for frame in described.stack if frame.filename != __file__]
        described.stack = traceback.StackSummary.from_list(frames)
        # json adds a note for every level that it comes out of.
        if isinstance(described.__notes__, list):
            del described.__notes__[most_notes:]
        for inner in [described.__cause__, described.__context__, *(described.exceptions or [])]:
            if inner is not None:
                leave_out_sandbox(inner)

    def run_cell(source):
        nonlocal cells
        cells += 1
        filename = f'<cell {cells}>'
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        # Its own loop may have been changed by an earlier cell.
        asyncio.set_event_loop(session)
        asyncio.events._set_running_loop(session)
        try:
            execute(source, filename)
        except SystemExit as request:
            if request.code not in (None, 0):
                print(f'exit: {int(request.code) if isinstance(request.code, bool) else request.code}', file=sys.stderr)
        except BaseException as error:
            report(error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    return run_cell

_make_run_cell
`
