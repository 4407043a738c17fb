"""What views are said to depend on: tables, and records that were asked for by id."""

from __future__ import annotations

from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.engine.dependencies import ViewDependencies
from sp00ky.ssp.rpc.dependencies import dependencies_response

from tests.harness.driven_engine import Driven


def test_each_view_names_its_tables_and_a_traced_one_its_records() -> None:
    driven = Driven()
    log = driven.log
    log.change("person", 1, {"age": 3, "boss": RecordId("person", 2)})
    log.change("person", 2, {"age": 9})
    log.change("note", 1, {"of": RecordId("person", 1)})
    driven.welcome()
    for view, surql in (
        ("circuit", "SELECT * FROM person WHERE age > 2"),
        ("linked", "SELECT * FROM note WHERE of.boss.age = 9"),
        ("reevaluated", "SELECT *, fn::hidden() AS h FROM person"),
        ("traced", "SELECT * FROM person:1, person:2"),
    ):
        log.register(view, surql)
    driven.catch_up()
    dependencies = driven.engine.dependencies()
    views = {view.key.id: view for view in dependencies.views}
    assert views["circuit"].tables == {"person"} and not views["circuit"].records
    assert views["linked"].tables is not None and {"note", "person"} <= views["linked"].tables
    assert views["reevaluated"].tables is None
    assert views["traced"] == ViewDependencies(
        views["traced"].key, frozenset({"person"}), (RecordId("person", 1), RecordId("person", 2)), 2
    )
    assert {"note", "person"} <= set(dependencies.tables_held)
    said = dependencies_response(dependencies)
    assert [view.key.id for view in said.views] == ["circuit", "linked", "reevaluated", "traced"]
    assert list(said.views[3].records) == ["person:1", "person:2"]
