"""The settings of the conversation on the screen, changed faster than they are read."""

from pathlib import Path

from chat.chat_stack import ChatStack
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.chat_settings import ChatSettingsController


def test_a_setting_that_is_changed_at_once_leaves_the_conversation_its_model(stack: ChatStack):
    stack.chat._models.next_path = Path("apples.gguf")
    stack.exchange("Apples?", "Red.")
    stack.open(None)
    settings = ChatSettingsController(stack.store, stack.chat, stack.settings)
    warm = SamplingSettings(temperature=1.5)
    stack.chat.branch_shown.connect(lambda *_branch: settings.set_sampling(warm))
    stack.open(1)  # the click comes before the stored settings
    stored = stack.read(lambda store: store.conversations.settings(1))
    assert (stored.model_path, stored.sampling) == ("apples.gguf", warm)
    assert settings.present[0] == warm
