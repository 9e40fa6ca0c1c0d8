from langchain_reflect.lessons import holding

HERE = ("default",)


def test_lessons_that_another_thread_throws_out_meanwhile_are_still_returned(book, monkeypatch):
    monkeypatch.setattr(holding, "MAX_READ", 1)
    ids = [book.add(when=f"case {n}", do=f"deed {n}").id for n in range(3)]
    memory = book._finder._memory
    version = memory.now(HERE).version
    read = memory._read

    def read_while_others_clear(lesson_ids, namespace):
        memory.now(HERE).lessons.clear()
        return read(lesson_ids, namespace)

    assert list(memory.texts(ids[:1], HERE, version)) == ids[:1]
    monkeypatch.setattr(memory, "_read", read_while_others_clear)
    assert set(memory.texts(ids, HERE, version)) == set(ids)
