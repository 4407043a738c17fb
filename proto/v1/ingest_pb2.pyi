from sp00ky.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRequest(_message.Message):
    __slots__ = ("changes", "atomic")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ATOMIC_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[_common_pb2.Change]
    atomic: bool
    def __init__(self, changes: _Optional[_Iterable[_Union[_common_pb2.Change, _Mapping]]] = ..., atomic: _Optional[bool] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("revision", "seq", "hints")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    revision: str
    seq: int
    hints: int
    def __init__(self, revision: _Optional[str] = ..., seq: _Optional[int] = ..., hints: _Optional[int] = ...) -> None: ...

class IngestStreamRequest(_message.Message):
    __slots__ = ("batch", "changes", "atomic")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ATOMIC_FIELD_NUMBER: _ClassVar[int]
    batch: int
    changes: _containers.RepeatedCompositeFieldContainer[_common_pb2.Change]
    atomic: bool
    def __init__(self, batch: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[_common_pb2.Change, _Mapping]]] = ..., atomic: _Optional[bool] = ...) -> None: ...

class IngestStreamResponse(_message.Message):
    __slots__ = ("batch", "seq", "revision")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    batch: int
    seq: int
    revision: str
    def __init__(self, batch: _Optional[int] = ..., seq: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class EncodedBatch(_message.Message):
    __slots__ = ("batch", "changes", "atomic")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ATOMIC_FIELD_NUMBER: _ClassVar[int]
    batch: int
    changes: _containers.RepeatedScalarFieldContainer[bytes]
    atomic: bool
    def __init__(self, batch: _Optional[int] = ..., changes: _Optional[_Iterable[bytes]] = ..., atomic: _Optional[bool] = ...) -> None: ...
