"""The child that speaks to dnf, run by the host's interpreter that has dnf's Python bindings.

Its arguments are a word (`facts`, `simulate`, `ready`, `download`, `apply`, `mend`) and a request as JSON, or `@` and
the file in which the request is. Its answer is one JSON object on standard output, or in the request's `answer_file`.
Whatever dnf, rpm, plugins and scriptlets print goes to standard error.
"""

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
    try:
        import dnf
        import dnf.exceptions
        import hawkey
    except ImportError as error:
        sys.stderr.write("%s has no dnf bindings: %s\n" % (sys.executable, error))
        return EXIT_NO_BINDINGS
    word, request = argv[0], _request(argv[1])
    try:
        answer = _carry_out(word, request)
        code = 0
    except (dnf.exceptions.Error, hawkey.Exception, OSError, RuntimeError, ValueError) as error:
        answer = {"error": str(error) or type(error).__name__, "kind": type(error).__name__}
        code = EXIT_FAILED
    _write(answers, answer)
    if request.get("answer_file"):
        _write(os.open(request["answer_file"], os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), answer)
    return code


def _request(argument):
    # type: (str) -> dict
    if not argument.startswith("@"):
        return json.loads(argument)
    with open(argument[1:], encoding="utf-8") as file:
        return json.load(file)


def _write(descriptor, answer):
    # type: (int, dict) -> None
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
        json.dump(answer, stream, ensure_ascii=True, separators=(",", ":"))


def _carry_out(word, request):
    # type: (str, dict) -> dict
    if word == "facts":
        from patchwright_agent.managers import dnf_child_facts

        return dnf_child_facts.facts(request)
    from patchwright_agent.managers import dnf_child_transaction

    return dnf_child_transaction.WORDS[word](request)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
