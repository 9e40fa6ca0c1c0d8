import pytest

from langchain_reflect.redaction import redact


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("key sk-proj-abcdefghijklmnop1234 end", "key [redacted key] end"),
        ("AKIAABCDEFGHIJKLMNOP", "[redacted key]"),
        ("token ghp_abcdefghijklmnopqrstuvwx1234567890", "token [redacted key]"),
        ("Authorization: Bearer abcdef1234567890", "Authorization: Bearer [redacted token]"),
        ("postgresql://user:hunter22@db/x", "postgresql://[redacted password]@db/x"),
        ('{"api_key": "abcdef123456"}', '{"api_key": "[redacted secret]"}'),
        ("password=correct-horse", "password=[redacted secret]"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2Q", "[redacted token]"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted private key]\nb"),
    ],
)
def test_secrets_are_taken_out(text, kept):
    assert redact(text) == kept


@pytest.mark.parametrize("text", ["", "the password is on the note", "ask the bearer of this letter", "sk-1", "https://example.org/a:b"])
def test_other_text_stays(text):
    assert redact(text) == text
