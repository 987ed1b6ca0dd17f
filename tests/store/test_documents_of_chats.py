"""Documents of conversations and of folders of them: who has which, and when one is let go."""

from r1desk.store import Attachment, Store

REPORT = Attachment("report.pdf", tokens=900, sha256="a" * 64, pages=12)
NOTES = Attachment("notes.md", tokens=40, sha256="b" * 64)
PLAIN = Attachment("old.txt", "text of its own", 5)


def test_a_chat_has_what_was_attached_in_it_and_what_its_folder_has(store: Store) -> None:
    folder = store.folders.create("Work")
    key = store.conversations.create(folder_id=folder).id
    store.attachments.add_to_folder(folder, NOTES)
    store.attachments.add_to_folder(folder, NOTES)
    store.messages.append_user(key, "Why?", None, [REPORT, PLAIN])
    assert store.attachments.documents(key, folder) == (NOTES, REPORT)
    assert store.attachments.documents(key, None) == (REPORT,)
    assert store.attachments.drafts(None) == ()  # those of a folder are no draft
    store.attachments.save_drafts(key, [NOTES])
    assert store.attachments.documents(key, None) == (REPORT,)  # a draft can still be taken off
    assert store.messages.path(key)[0].attachments == (REPORT, PLAIN)


def test_a_document_is_removed_from_a_chat_from_a_folder_or_from_all(store: Store) -> None:
    folder = store.folders.create("Work")
    key = store.conversations.create().id
    store.messages.append_user(key, "Why?", None, [REPORT])
    store.attachments.add_to_folder(folder, REPORT, NOTES)
    store.attachments.drop_document(REPORT.sha256, conversation_id=key)
    assert store.attachments.documents(key, None) == ()
    assert store.attachments.of_folder(folder) == (REPORT, NOTES)
    store.attachments.drop_document(NOTES.sha256, folder)
    assert store.attachments.used_documents() == {REPORT.sha256}
    store.attachments.drop_document(REPORT.sha256, None)
    assert store.attachments.every() == ()


def test_a_changed_file_takes_the_place_of_what_a_folder_had(store: Store) -> None:
    folder = store.folders.create("Work")
    store.attachments.add_to_folder(folder, REPORT)
    store.attachments.replace_document(REPORT.sha256, NOTES)
    assert store.attachments.in_folders() == {NOTES.sha256}
    assert [each.tokens for each in store.attachments.of_folder(folder)] == [NOTES.tokens]


def test_documents_go_with_the_last_that_has_them(store: Store) -> None:
    folder = store.folders.create("Work")
    key = store.conversations.create(folder_id=folder).id
    store.messages.append_user(key, "Why?", None, [REPORT])
    store.attachments.add_to_folder(folder, NOTES)
    store.conversations.trash(key)
    assert store.attachments.used_documents() == {REPORT.sha256, NOTES.sha256}
    store.conversations.purge([key])
    (work,) = store.folders.infos()
    deleted = store.folders.delete(work)
    assert store.attachments.used_documents() == set()
    store.folders.restore(deleted)
    assert store.attachments.used_documents() == {NOTES.sha256}
