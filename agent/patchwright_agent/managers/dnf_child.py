"""The child that speaks to dnf, run by the host's interpreter that has dnf's Python bindings.

Its arguments are a word (`facts`, `simulate`, `ready`, `download`, `apply`, `mend`) and a request as JSON, or `@` and
the file in which the request is. Its answer is one JSON object on standard output, or in the request's `answer_file`.
Whatever dnf, rpm, plugins and scriptlets print goes to standard error.
"""

import gc
import importlib.util
import json
import os
import sys

EXIT_NO_BINDINGS = 3
EXIT_FAILED = 4


def main(argv):
    # type: (list) -> int
    """Carry out the word in `argv`. 0 with an answer; 4 with {"error": ...}; 3 where this interpreter has no dnf."""
    answers = os.dup(1)
    os.dup2(2, 1)
    gc.disable()  # tens of thousands of objects, nearly all of them needed to the end
    _import_later("email.mime.text")
    try:
        import dnf
        import dnf.exceptions
        import hawkey
    except ImportError as error:
        sys.stderr.write("%s has no dnf bindings: %s\n" % (sys.executable, error))
        return EXIT_NO_BINDINGS
    freeze = getattr(gc, "freeze", None)  # since 3.7
    if freeze:
        freeze()  # dnf collects garbage whenever it fills a sack: not among its own modules
    word, request = argv[0], _request(argv[1])
    if word != "facts":  # a question after the other, or a transaction: what is done with goes
        gc.enable()
    try:
        answer = _carry_out(word, request)
        code = 0
    except (dnf.exceptions.Error, hawkey.Exception, OSError, RuntimeError, ValueError) as error:
        answer = {"error": str(error) or type(error).__name__, "kind": type(error).__name__}
        code = EXIT_FAILED
    _write(answers, answer)
    if request.get("answer_file"):
        _write(os.open(request["answer_file"], os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), answer)
    if word == "facts" and request["fetch"] == "never":
        _end(code)
    return code


def _import_later(name):
    # type: (str) -> None
    """Let a module be imported at its first use: dnf imports a whole mail library, for a report that is not sent."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None or name in sys.modules:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    parent, _, own = name.rpartition(".")
    setattr(sys.modules[parent], own, module)
    spec.loader.exec_module(module)


def _end(code):
    # type: (int) -> None
    """End at once. Nothing was changed, so nothing is to be closed, and to free a sack piece by piece takes long."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _request(argument):
    # type: (str) -> dict
    if not argument.startswith("@"):
        return json.loads(argument)
    with open(argument[1:], encoding="utf-8") as file:
        return json.load(file)


def _write(descriptor, answer):
    # type: (int, dict) -> None
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
        stream.write(json.dumps(answer, separators=(",", ":")))  # json.dump is five times as slow


def _carry_out(word, request):
    # type: (str, dict) -> dict
    if word == "facts":
        from patchwright_agent.managers import dnf_child_facts

        return dnf_child_facts.facts(request)
    from patchwright_agent.managers import dnf_child_transaction

    return dnf_child_transaction.WORDS[word](request)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
