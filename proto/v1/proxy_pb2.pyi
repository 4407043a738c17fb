from sp00ky.proto.v1 import common_pb2 as _common_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QueryRequest(_message.Message):
    __slots__ = ("query", "vars_json", "vars", "revision", "json", "consistency", "shared_pin")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    VARS_JSON_FIELD_NUMBER: _ClassVar[int]
    VARS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SHARED_PIN_FIELD_NUMBER: _ClassVar[int]
    query: str
    vars_json: str
    vars: bytes
    revision: str
    json: bool
    consistency: _common_pb2.Consistency
    shared_pin: bool
    def __init__(self, query: _Optional[str] = ..., vars_json: _Optional[str] = ..., vars: _Optional[bytes] = ..., revision: _Optional[str] = ..., json: _Optional[bool] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, str]] = ..., shared_pin: _Optional[bool] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("result", "revision", "result_json")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    result: bytes
    revision: str
    result_json: str
    def __init__(self, result: _Optional[bytes] = ..., revision: _Optional[str] = ..., result_json: _Optional[str] = ...) -> None: ...
