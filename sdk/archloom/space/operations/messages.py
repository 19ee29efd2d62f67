"""Operations as protobuf messages. Imported only where a message is at hand."""

from __future__ import annotations

from archloom.space.messages.spaces import write_node
from archloom.space.messages.values import KINDS, write_value
from archloom.space.operations.composites import COMPOSITES, Composite, value
from archloom.space.operations.registry import layer_names, load_plugins, operation_specs
from archloom.space.operations.spec import OpSpec, Parameter
from archloom.v1 import operation_pb2 as pb

_TYPES = {
    "any": pb.PARAMETER_TYPE_UNSPECIFIED,
    "int": pb.PARAMETER_TYPE_INTEGER,
    "float": pb.PARAMETER_TYPE_NUMBER,
    "bool": pb.PARAMETER_TYPE_FLAG,
    "text": pb.PARAMETER_TYPE_TEXT,
}
_AGREEMENTS = {"all": pb.INPUT_AGREEMENT_ALL, "channels": pb.INPUT_AGREEMENT_ALL_BUT_CHANNELS}
_SLICINGS = {
    "prefix": pb.SLICING_RULE_PREFIX,
    "centre": pb.SLICING_RULE_CENTRE,
    "heads": pb.SLICING_RULE_HEADS,
    "segments": pb.SLICING_RULE_SEGMENTS,
    "none": pb.SLICING_RULE_NONE,
}


def all_operations() -> list[pb.OperationSpec]:
    """What a layer may name here, those of installed packages too, by name."""
    load_plugins()
    usable = {name: operation_specs()[name] for name in layer_names()}
    found: dict[str, OpSpec | Composite] = {**usable, **COMPOSITES}
    return [write_operation(found[name]) for name in sorted(found)]


def write_operation(spec: OpSpec | Composite) -> pb.OperationSpec:
    if isinstance(spec, Composite):
        return pb.OperationSpec(
            name=spec.name,
            summary=spec.summary,
            parameters=[_parameter(each, each.default is None) for each in spec.parameters],
            shapes=[pb.OperationShape(input=KINDS[kind]) for kind in spec.kinds],
            arity=1,
            body=write_node(spec.body),
        )
    several = spec.arity != 1 and not spec.others
    required = {each.name for each in spec.parameters if each.default is None}
    return pb.OperationSpec(
        name=spec.name,
        version=spec.version,
        summary=spec.summary,
        parameters=[_parameter(each, each.name in required) for each in spec.by_name.values()],
        shapes=[
            pb.OperationShape(input=KINDS[kind], output=KINDS[output], dims=dims)
            for kind, (output, dims) in spec.shape.items()
        ],
        arity=spec.arity if isinstance(spec.arity, int) else None,
        further_inputs=[pb.OperationInput(kinds=[KINDS[kind] for kind in kinds]) for kinds in spec.others],
        agreement=_AGREEMENTS[spec.equal_inputs] if several else pb.INPUT_AGREEMENT_UNSPECIFIED,
        ordered=spec.ordered,
        requirements=[
            pb.OperationRequirement(expression=condition, message=message)
            for condition, message in spec.requires
        ],
        weights=spec.weights,
        multiply_adds=spec.multiply_adds,
        identity_if=spec.identity_if,
        zero_if=spec.zero_if,
        zero_to_zero=spec.zero_to_zero,
        causal=spec.causal,
        whole_inputs=spec.whole_inputs,
        slicing=[pb.OperationSlicing(axis=axis, rule=_SLICINGS[rule]) for axis, rule in spec.slicing.items()],
        followed=spec.follows,
        opaque=spec.opaque,
        open=spec.open,
    )


def _parameter(parameter: Parameter, required: bool) -> pb.OperationParameter:
    default = parameter.default
    return pb.OperationParameter(
        name=parameter.name,
        type=_TYPES[parameter.type],
        default=None if default is None else write_value(value(default)),
        low=parameter.low,
        high=parameter.high,
        choices=parameter.choices,
        summary=parameter.summary,
        required=required,
    )
