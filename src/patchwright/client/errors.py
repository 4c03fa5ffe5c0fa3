"""What can go wrong with a call; each text says what to do next. It may quote the server: print it escaped."""


class CallFailed(Exception):
    """A call of the API gave no answer. The text is for an operator."""


class NotConfigured(CallFailed):
    """Nothing says which server to call, or with which key."""


class Unreachable(CallFailed):
    """No server answered at the address; whether it acted on the request is unknown if it was sent."""


class ApiError(CallFailed):
    """The server refused the request, and changed nothing.

    `code` is the error's name on the wire, such as `InvalidInstanceId`; `message` is the server's text.
    """

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}" if message else f"{operation}: {code}")
        self.operation = operation
        self.code = code
        self.message = message
