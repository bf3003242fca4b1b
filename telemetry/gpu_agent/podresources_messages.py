"""The messages of the kubelet's pod-resources API, v1, as far as they are read here.

After kubernetes/kubelet, pkg/apis/podresources/v1/api.proto (Apache-2.0): the numbers are its numbers, and fields that are left out
are skipped by protobuf. Built from a descriptor when they are first needed, so that no generated code has to fit the runtime."""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE: Final = "v1.PodResourcesLister"
_STRING: Final = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_MESSAGE: Final = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_ONE: Final = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_MANY: Final = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_MESSAGES: Final[dict[str, list[tuple[int, str, str, bool]]]] = {
    # message: (number, field, type, repeated)
    "ListPodResourcesResponse": [(1, "pod_resources", "PodResources", True)],
    "AllocatableResourcesResponse": [(1, "devices", "ContainerDevices", True)],
    "PodResources": [
        (1, "name", "string", False),
        (2, "namespace", "string", False),
        (3, "containers", "ContainerResources", True),
    ],
    "ContainerResources": [
        (1, "name", "string", False),
        (2, "devices", "ContainerDevices", True),
        (5, "dynamic_resources", "DynamicResource", True),
    ],
    "ContainerDevices": [(1, "resource_name", "string", False), (2, "device_ids", "string", True)],
    "DynamicResource": [(4, "claim_resources", "ClaimResource", True)],
    "ClaimResource": [(2, "driver_name", "string", False), (4, "device_name", "string", False)],
}


def message_classes() -> dict[str, Any]:
    """The message classes by name, in a pool of their own: the package is called `v1`, as others' may be."""
    file = descriptor_pb2.FileDescriptorProto(name="podresources.proto", package="v1", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind, repeated in fields:
            added = message.field.add(name=field, number=number, label=_MANY if repeated else _ONE)
            if kind == "string":
                added.type = _STRING
            else:
                added.type, added.type_name = _MESSAGE, f".v1.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}")) for name in _MESSAGES
    }
