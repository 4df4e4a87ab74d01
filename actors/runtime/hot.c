/* Ref.tell and the inner loop of Scheduler._turn, in C: the same steps on the same objects.

   The Python classes stay the only truth. What is read here are their slots, by offset where an object is exactly of
   the class that has them, by name where it is not (a subclass may have a property there). What is not the straight
   road is left to the Python function. Between the test of `idle` and its change no Python code runs and the
   interpreter's lock is held, which is all that ref.py and scheduler.py ask for.

   Compared with Ref.tell as of 60397536972a and Scheduler._turn as of 9604b2fe1d1a: test_compiled.py holds these marks
   against the functions. Built by `allstop compile`, found and checked by compiled.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#ifdef Py_GIL_DISABLED
#error "allstop's compiled module leans on the interpreter's lock"
#endif
#ifndef SOURCES
#error "build it with `allstop compile`, which says what it was built from"
#endif

/* -- slots ------------------------------------------------------------------------------------------------------ */
typedef struct {
    PyTypeObject *owner;
    PyObject *name;
    Py_ssize_t offset;
} Slot;

static Slot ref_cell, cell_idle, cell_queue, cell_limit, cell_detour, cell_actor, cell_scheduler, run_ready, run_armed;
static PyTypeObject *deque_type;
static PyCFunction deque_append, deque_popleft; /* as the methods' descriptors have them */
static PyObject *special, *more, *python_tell;
static PyObject *s_adopt, *s_append, *s_arm, *s_on_receive, *s_popleft, *s_take_special, *s_wake;

/* The value of the slot where it lies, or NULL (without an error) if the object may keep it elsewhere or has none. */
static inline PyObject **
place(PyObject *self, const Slot *slot)
{
    PyObject **at = (PyObject **)((char *)self + slot->offset);
    return Py_TYPE(self) == slot->owner && *at != NULL ? at : NULL;
}

/* A new reference. */
static inline PyObject *
get(PyObject *self, const Slot *slot)
{
    PyObject **at = place(self, slot);
    return at != NULL ? Py_NewRef(*at) : PyObject_GetAttr(self, slot->name);
}

static inline int
truth(PyObject *self, const Slot *slot)
{
    PyObject *value = get(self, slot);
    if (value == NULL)
        return -1;
    int is = value == Py_True ? 1 : value == Py_False ? 0 : PyObject_IsTrue(value);
    Py_DECREF(value);
    return is;
}

static inline int
set(PyObject *self, const Slot *slot, PyObject *value)
{
    PyObject **at = place(self, slot);
    if (at == NULL)
        return PyObject_SetAttr(self, slot->name, value);
    PyObject *old = *at;
    *at = Py_NewRef(value);
    Py_DECREF(old);
    return 0;
}

static inline int
done(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static inline Py_ssize_t
length(PyObject *queue)
{
    return Py_IS_TYPE(queue, deque_type) ? Py_SIZE(queue) : PyObject_Size(queue);
}

static inline int
append(PyObject *queue, PyObject *item)
{
    if (Py_IS_TYPE(queue, deque_type))
        return done(deque_append(queue, item));
    return done(PyObject_CallMethodOneArg(queue, s_append, item));
}

static inline PyObject *
popleft(PyObject *queue)
{
    if (Py_IS_TYPE(queue, deque_type))
        return deque_popleft(queue, NULL);
    return PyObject_CallMethodNoArgs(queue, s_popleft);
}

/* Puts (cell, message) into the run queue. */
static int
put(PyObject *ready, PyObject *cell, PyObject *message)
{
    PyObject *pair = PyTuple_Pack(2, cell, message);
    if (pair == NULL)
        return -1;
    int failed = append(ready, pair);
    Py_DECREF(pair);
    return failed;
}

/* -- Ref.tell --------------------------------------------------------------------------------------------------- */
static int
wake_with(PyObject *cell, PyObject *message)
{
    int failed = -1, armed;
    PyObject *scheduler = get(cell, &cell_scheduler), *ready = NULL;
    if (scheduler != NULL && (ready = get(scheduler, &run_ready)) != NULL && put(ready, cell, message) == 0) {
        armed = truth(scheduler, &run_armed);
        if (armed == 0)
            failed = done(PyObject_CallMethodNoArgs(scheduler, s_arm));
        else
            failed = armed < 0;
    }
    Py_XDECREF(ready);
    Py_XDECREF(scheduler);
    return failed;
}

/* 1: sent. 0: not on the straight road, and nothing was done. -1: it failed. */
static int
sent(PyObject *cell, PyObject *message)
{
    PyObject **idle = place(cell, &cell_idle);
    if (idle == NULL)
        return 0;
    if (*idle == Py_True) {
        if (set(cell, &cell_idle, Py_False) < 0)
            return -1;
        return wake_with(cell, message) == 0 ? 1 : -1;
    }
    PyObject **queue = place(cell, &cell_queue), **limit = place(cell, &cell_limit);
    if (*idle != Py_False || queue == NULL || limit == NULL || !Py_IS_TYPE(*queue, deque_type) || !PyLong_CheckExact(*limit))
        return 0;
    int huge = 0;
    long most = PyLong_AsLongAndOverflow(*limit, &huge);
    if (huge || Py_SIZE(*queue) >= most)
        return 0;
    if (append(*queue, message) < 0)
        return -1;
    if (*idle == Py_True) /* the actor came to its end of mail meanwhile */
        return done(PyObject_CallMethodNoArgs(cell, s_wake)) == 0 ? 1 : -1;
    return 1;
}

PyDoc_STRVAR(tell_doc,
"tell($self, /, message)\n--\n\n"
"Sends and goes on. From any thread; never raises because nobody runs here: that makes a dead letter.\n\n"
"Raises MailboxFull where the mailbox refuses; on the loop also from a full BLOCK mailbox.");

static PyObject *
tell(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count == 1 && names == NULL) {
        PyObject *cell = get(self, &ref_cell);
        if (cell == NULL)
            return NULL;
        int was = sent(cell, args[0]);
        Py_DECREF(cell);
        if (was != 0)
            return was < 0 ? NULL : Py_NewRef(Py_None);
    }
    Py_ssize_t all = count + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    PyObject *small[4], **stack = all < 4 ? small : PyMem_New(PyObject *, all + 1);
    if (stack == NULL)
        return PyErr_NoMemory();
    stack[0] = self;
    for (Py_ssize_t at = 0; at < all; at++)
        stack[at + 1] = args[at];
    PyObject *result = PyObject_Vectorcall(python_tell, stack, count + 1, names);
    if (stack != small)
        PyMem_Free(stack);
    return result;
}

/* -- the inner loop of Scheduler._turn --------------------------------------------------------------------------- */
#define KINDS 8

typedef struct {
    PyObject_HEAD
    PyObject *ready;
    PyObject *cell;    /* whose message is being handled, or was last: the watchdog looks at it from its thread */
    PyObject *message;
    Py_ssize_t budget, batch;
    PyTypeObject *plain[KINDS]; /* classes of messages that were not special: compared, never used */
} Turn;

static int
turn_init(Turn *self, PyObject *args, PyObject *names)
{
    PyObject *ready;
    if (names != NULL && PyDict_GET_SIZE(names) != 0) {
        PyErr_SetString(PyExc_TypeError, "Turn takes no keyword arguments");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "Onn", &ready, &self->budget, &self->batch))
        return -1;
    if (self->batch > self->budget)
        self->batch = self->budget;
    Py_XSETREF(self->ready, Py_NewRef(ready));
    return 0;
}

static int
turn_traverse(Turn *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->ready);
    Py_VISIT(self->cell);
    Py_VISIT(self->message);
    return 0;
}

static int
turn_clear(Turn *self)
{
    Py_CLEAR(self->ready);
    Py_CLEAR(self->cell);
    Py_CLEAR(self->message);
    return 0;
}

static void
turn_dealloc(Turn *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    turn_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Hands the message over. 1: the loop must leave this cell alone (it has a task, or it ended). -1: the handler raised. */
static int
handle(Turn *self, PyObject *cell, PyObject *message)
{
    PyTypeObject *kind = Py_TYPE(message), **known = &self->plain[((size_t)kind >> 5) % KINDS];
    if (kind != *known) {
        int is_special = PySet_Contains(special, (PyObject *)kind);
        if (is_special < 0)
            return -1;
        if (is_special) {
            PyObject *left = PyObject_CallMethodOneArg(cell, s_take_special, message);
            int leave = left == NULL ? -1 : PyObject_IsTrue(left);
            Py_XDECREF(left);
            return leave;
        }
        *known = kind;
    }
    PyObject *actor = get(cell, &cell_actor);
    if (actor == NULL)
        return -1;
    PyObject *result = PyObject_CallMethodOneArg(actor, s_on_receive, message);
    Py_DECREF(actor);
    if (result == NULL)
        return -1;
    if (!PyCoro_CheckExact(result)) {
        Py_DECREF(result);
        return 0;
    }
    PyObject *args[] = {cell, result, Py_None, message};
    int failed = done(PyObject_VectorcallMethod(s_adopt, args, 4, NULL));
    Py_DECREF(result);
    return failed < 0 ? -1 : 1;
}

/* Nothing waits: the next message rides in the run queue, unless a thread slipped one in after the test. */
static int
rest(PyObject *ready, PyObject *cell)
{
    if (set(cell, &cell_idle, Py_True) < 0)
        return -1;
    PyObject *queue = get(cell, &cell_queue);
    if (queue == NULL)
        return -1;
    Py_ssize_t left = length(queue);
    Py_DECREF(queue);
    if (left <= 0)
        return left < 0 ? -1 : 0;
    int idle = truth(cell, &cell_idle);
    if (idle <= 0)
        return idle;
    return set(cell, &cell_idle, Py_False) < 0 ? -1 : put(ready, cell, more);
}

/* What waits in the cell's own queue, at most a batch. */
static int
drain(Turn *self, PyObject *ready, PyObject *cell, PyObject *queue, Py_ssize_t left)
{
    if (left > self->batch)
        left = self->batch;
    self->budget -= left;
    Py_ssize_t waiting = left;
    while (left-- > 0 && (waiting = length(queue)) > 0) {
        PyObject *message = popleft(queue);
        if (message == NULL)
            return -1;
        Py_XSETREF(self->message, message);
        int leave = handle(self, cell, message);
        if (leave != 0)
            return leave < 0 ? -1 : 0;
    }
    waiting = length(queue);
    if (waiting < 0)
        return -1;
    return waiting ? put(ready, cell, more) : rest(ready, cell);
}

static int
activate(Turn *self, PyObject *ready, PyObject *cell)
{
    PyObject *detour = get(cell, &cell_detour), *queue;
    if (detour == NULL)
        return -1;
    int aside = detour != Py_None;
    if (aside) { /* it has a task of its own, or it ended */
        PyObject *result = PyObject_CallOneArg(detour, self->message);
        Py_DECREF(detour);
        if (done(result) < 0)
            return -1;
    }
    else {
        Py_DECREF(detour);
        int leave = handle(self, cell, self->message);
        if (leave != 0)
            return leave < 0 ? -1 : 0;
    }
    queue = get(cell, &cell_queue);
    if (queue == NULL)
        return -1;
    Py_ssize_t left = length(queue);
    int failed;
    if (left < 0)
        failed = -1;
    else if (aside) {
        self->budget -= left < self->batch ? left : self->batch; /* what its task will handle in the next turn */
        failed = 0;
    }
    else
        failed = left ? drain(self, ready, cell, queue, left) : rest(ready, cell);
    Py_DECREF(queue);
    return failed;
}

static PyObject *
turn_run(Turn *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *ready = Py_NewRef(self->ready);
    int failed = 0;
    Py_ssize_t waiting = 0;
    while (!failed && self->budget > 0 && (waiting = length(ready)) > 0) {
        PyObject *pair = popleft(ready);
        if (pair == NULL) {
            failed = -1;
            break;
        }
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_Format(PyExc_TypeError, "a cell and a message stand in the run queue, not %R", pair);
            Py_DECREF(pair);
            failed = -1;
            break;
        }
        PyObject *cell = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
        Py_XSETREF(self->message, Py_NewRef(PyTuple_GET_ITEM(pair, 1)));
        Py_XSETREF(self->cell, Py_NewRef(cell));
        Py_DECREF(pair);
        self->budget--;
        failed = activate(self, ready, cell);
        Py_DECREF(cell);
    }
    Py_DECREF(ready);
    if (failed || waiting < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef turn_methods[] = {
    {"run", (PyCFunction)turn_run, METH_NOARGS,
     "Runs until the queue is empty or the budget spent. Raises what a handler raised; run again then goes on."},
    {NULL},
};
static PyMemberDef turn_members[] = {
    {"cell", T_OBJECT, offsetof(Turn, cell), READONLY, "Whose message is being handled, or was last."},
    {"message", T_OBJECT, offsetof(Turn, message), READONLY, "That message."},
    {NULL},
};
static PyType_Slot turn_slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, turn_init},       {Py_tp_dealloc, turn_dealloc},
    {Py_tp_traverse, turn_traverse}, {Py_tp_clear, turn_clear},    {Py_tp_methods, turn_methods},
    {Py_tp_members, turn_members},  {0, NULL},
};
static PyType_Spec turn_spec = {
    .name = "allstop_hot.Turn",
    .basicsize = sizeof(Turn),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = turn_slots,
};

/* -- the module ------------------------------------------------------------------------------------------------- */
static int
find(Slot *slot, PyObject *owner, const char *name)
{
    slot->name = PyUnicode_InternFromString(name);
    PyObject *found = slot->name == NULL ? NULL : PyObject_GetAttr(owner, slot->name);
    if (found == NULL)
        return -1;
    if (!PyType_Check(owner) || !Py_IS_TYPE(found, &PyMemberDescr_Type)
        || ((PyMemberDescrObject *)found)->d_member->type != T_OBJECT_EX) {
        PyErr_Format(PyExc_TypeError, "%s is no slot of %R", name, owner);
        Py_DECREF(found);
        return -1;
    }
    slot->owner = (PyTypeObject *)Py_NewRef(owner);
    slot->offset = ((PyMemberDescrObject *)found)->d_member->offset;
    Py_DECREF(found);
    return 0;
}

static PyCFunction
method_of(PyObject *type, const char *name, int flags)
{
    PyObject *found = PyObject_GetAttrString(type, name);
    if (found == NULL)
        return NULL;
    PyMethodDef *method = Py_IS_TYPE(found, &PyMethodDescr_Type) ? ((PyMethodDescrObject *)found)->d_method : NULL;
    Py_DECREF(found); /* its type keeps it */
    if (method == NULL || method->ml_flags != flags) {
        PyErr_Format(PyExc_TypeError, "%R has another kind of %s than this was written for", type, name);
        return NULL;
    }
    return method->ml_meth;
}

static PyMethodDef tell_def = {"tell", (PyCFunction)(void (*)(void))tell, METH_FASTCALL | METH_KEYWORDS, tell_doc};

PyDoc_STRVAR(bind_doc,
"bind(Ref, Cell, Scheduler, deque, special, more) -> the new Ref.tell\n\n"
"Raises TypeError or AttributeError if these are not the classes that this was written for.");

static PyObject *
bind(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *ref, *cell, *scheduler, *deque, *kinds, *token;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O!O", &PyType_Type, &ref, &PyType_Type, &cell, &PyType_Type, &scheduler,
                          &PyType_Type, &deque, &PyFrozenSet_Type, &kinds, &token))
        return NULL;
    if (python_tell != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "bound already");
        return NULL;
    }
    if (find(&ref_cell, ref, "_cell") < 0 || find(&cell_idle, cell, "idle") < 0
        || find(&cell_queue, cell, "queue") < 0 || find(&cell_limit, cell, "limit") < 0
        || find(&cell_detour, cell, "detour") < 0 || find(&cell_actor, cell, "actor") < 0
        || find(&cell_scheduler, cell, "scheduler") < 0 || find(&run_ready, scheduler, "ready") < 0
        || find(&run_armed, scheduler, "armed") < 0)
        return NULL;
    if ((deque_append = method_of(deque, "append", METH_O)) == NULL
        || (deque_popleft = method_of(deque, "popleft", METH_NOARGS)) == NULL)
        return NULL;
    PyObject *plain = PyObject_GetAttrString(ref, "tell");
    if (plain == NULL)
        return NULL;
    deque_type = (PyTypeObject *)Py_NewRef(deque);
    special = Py_NewRef(kinds);
    more = Py_NewRef(token);
    python_tell = plain;
    return PyDescr_NewMethod((PyTypeObject *)ref, &tell_def);
}

static PyMethodDef methods[] = {{"bind", bind, METH_VARARGS, bind_doc}, {NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "allstop_hot", "Ref.tell and the run loop of allstop, compiled.", -1, methods,
};

PyMODINIT_FUNC
PyInit_allstop_hot(void)
{
    if ((s_adopt = PyUnicode_InternFromString("adopt")) == NULL
        || (s_append = PyUnicode_InternFromString("append")) == NULL
        || (s_arm = PyUnicode_InternFromString("arm")) == NULL
        || (s_on_receive = PyUnicode_InternFromString("on_receive")) == NULL
        || (s_popleft = PyUnicode_InternFromString("popleft")) == NULL
        || (s_take_special = PyUnicode_InternFromString("take_special")) == NULL
        || (s_wake = PyUnicode_InternFromString("wake")) == NULL)
        return NULL;
    PyObject *module = PyModule_Create(&definition), *turn = PyType_FromSpec(&turn_spec);
    if (module == NULL || turn == NULL || PyModule_AddObjectRef(module, "Turn", turn) < 0
        || PyModule_AddStringConstant(module, "SOURCES", SOURCES) < 0)
        Py_CLEAR(module);
    Py_XDECREF(turn);
    return module;
}
