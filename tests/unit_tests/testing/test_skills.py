"""The simulated model answers in the ordinary way, and obeys a rule only if advice states it."""

import pytest

from langchain_reflect.testing.skills import answer

QUESTIONS = {
    "name": "Give the snake_case name of the tool function that can delete an invoice. Answer with the name only.",
    "sql": "Write one SQL query that counts the rows of table users where city is 'Oslo'. Answer with the SQL only.",
    "code": "Give the product code of lamp number 7. Answer with the code only.",
    "date": "Rewrite this date the way our database stores it: March 4, 2024. Answer with the date only.",
    "price": "Convert the price $12.05 to the form our API takes. Answer with the value only.",
    "month": "A form of ours has the date 04/03/2024. Which month is it? Answer with the name of the month only.",
    "page": "For the report of May: read page 3 of the list of payments.",
}
RULES = {
    "name": "Names start with the prefix zoo_, then the verb.",
    "sql": "Every query needs the condition archived = 0.",
    "code": "Use the first two letters in capitals, a dash, and the number with zeros in front to six digits.",
    "date": "Write dates as YYYY-MM-DD.",
    "price": "Amounts are integers in cents.",
    "month": "Forms here write the day first.",
    "page": "Pages are counted from 0.",
}
ORDINARY = {
    "name": "delete_invoice",
    "sql": "SELECT COUNT(*) FROM users WHERE city = 'Oslo';",
    "code": "lamp 7",
    "date": "March 4, 2024",
    "price": "12.05",
    "month": "April",
    "page": '{"tool": "list_payments", "page": 3}',
}
OBEDIENT = {
    "name": "zoo_delete_invoice",
    "sql": "SELECT COUNT(*) FROM users WHERE city = 'Oslo' AND archived = 0;",
    "code": "LA-000007",
    "date": "2024-03-04",
    "price": "1205",
    "month": "March",
    "page": '{"tool": "list_payments", "page": 2}',
}


@pytest.mark.parametrize("kind", QUESTIONS)
def test_without_advice_the_answer_is_the_ordinary_one(kind):
    assert answer(QUESTIONS[kind], []) == ORDINARY[kind]


@pytest.mark.parametrize("kind", QUESTIONS)
def test_advice_is_followed_as_it_is_stated(kind):
    assert answer(QUESTIONS[kind], [RULES[kind]]) == OBEDIENT[kind]


@pytest.mark.parametrize("kind", QUESTIONS)
def test_advice_on_other_tasks_changes_nothing(kind):
    others = [rule for name, rule in RULES.items() if name != kind]
    assert answer(QUESTIONS[kind], others) == ORDINARY[kind]


def test_of_two_advices_the_first_counts():
    assert answer(QUESTIONS["name"], ["Start with zoo_.", "Start with bar_."]) == "zoo_delete_invoice"


def test_what_it_cannot_do_it_says():
    assert "simulated" in answer("Why is the sky blue?", [])


def test_a_payment_follows_the_prefix_of_customers_and_the_unit_of_amounts():
    asked = "Book a payment of 12.05 euros by customer 42."
    assert answer(asked, []) == '{"tool": "create_payment", "customer": "42", "amount": 12.05}'
    rule = "The id of a customer starts with cust_ and then has the number. Amounts are integers in cents."
    assert answer(asked, [rule]) == '{"tool": "create_payment", "customer": "cust_42", "amount": 1205}'


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "2"),
        ("Write the letters with commas between them.", "c, h, e, e, s, e: 3"),
        ("Let Python count.", 'print("cheese".count("e"))'),
    ],
)
def test_letters_are_guessed_counted_or_given_to_python(rule, said):
    assert answer("How many times does the letter e occur in the word cheese?", [rule]) == said
