"""Lessons to try an embedder on: each is said twice, and beside it stands another lesson of the same field. Pure data.

All are made up. In the first third the lesson is reworded, in the second edited in a word or two, in the third extended.
"""

from typing import Final, NamedTuple

VERSION: Final = 1
"""Counts changes of the lessons below; thresholds that were calibrated on other ones are not used."""


class Trio(NamedTuple):
    """Three texts of the form `when`, new line, `do`."""

    lesson: str
    again: str
    """The same lesson in other words, edited, or with something added."""
    other: str
    """Another lesson of the same field."""


TRIOS: Final = (
    Trio(
        "When a tool call fails with a timeout\n"
        "Wait a moment and call it again with the same arguments before you tell the user it failed.",
        "A tool times out\nRetry the identical call after a short pause; report a failure to the user only after that.",
        "When a tool call fails because an argument is invalid\nRead the error, correct that argument and call the tool again.",
    ),
    Trio(
        "When a query joins two tables that share column names\nPut the table's alias in front of every column.",
        "Joining tables in which columns are named alike\nQualify each column with its table alias.",
        "When a query groups rows\nList every selected column that is not aggregated in GROUP BY.",
    ),
    Trio(
        "When the user wants to change a flight\nLook up the fare rules of the ticket before you promise that it can be changed.",
        "A traveller asks to move their flight to another day\n"
        "Check what the ticket's fare rules allow first, and only then say that a change is possible.",
        "When the user wants to change a flight\nAsk for the booking reference and the last name, then list the flights of that day.",
    ),
    Trio(
        "When a test fails after your change\nRead the whole traceback and reproduce the failure before you edit the code again.",
        "Your edit broke a test\nFirst run the failing test yourself and read its full stack trace; then touch the code.",
        "When you add a function to the code base\nWrite a test for it that covers the empty input as well.",
    ),
    Trio(
        "When the first search finds nothing useful\nSearch again with fewer and more general words.",
        "A web search returns no relevant result\nDrop the most specific terms from the query and try once more.",
        "When two web pages contradict each other\nTrust the one with the newer date, and name both in the answer.",
    ),
    Trio(
        "When a customer complains about a damaged parcel\nAsk for a photo and the order number before you offer a replacement.",
        "Somebody reports that their delivery arrived broken\n"
        "Request the order number and a picture of the damage; offer to replace the goods afterwards.",
        "When a customer wants to change the delivery address\nCheck that the order has not been handed to the carrier yet.",
    ),
    Trio(
        "When the answer has to be JSON\nReturn only the JSON object, with no text around it and no code fence.",
        "When the answer must be JSON\nReturn just the JSON object, with no prose around it and no code fences.",
        "When the answer has to be JSON\nTake the names of the fields from the schema, and give numbers as numbers.",
    ),
    Trio(
        "When a price is computed from several items\nAdd up the items with the calculator tool instead of in your head.",
        "When a total price is computed from several items\nAdd the items up with the calculator tool rather than in your head.",
        "When a price is given in a foreign currency\nConvert it with today's rate and say which rate you used.",
    ),
    Trio(
        "When a file is to be edited\nRead the file first and change only the lines that the task is about.",
        "When a file has to be edited\nRead the file first, then change only those lines that the task concerns.",
        "When a file is to be deleted\nList what imports it, and ask for confirmation.",
    ),
    Trio(
        "When counting letters in a word\nWrite the letters one by one with a number each, then count the ones asked for.",
        "When counting the letters of a word\nSpell the letters one by one with a number each, then count those asked for.",
        "When counting letters in a word\nTake capital and small letters as the same, and leave out spaces and hyphens.",
    ),
    Trio(
        "When the user names a day of the week only\nWork out the date from today's date and repeat it to the user.",
        "When the user only names a weekday\nWork out the date from today's date and repeat it back to the user.",
        "When the user names a city that exists in several countries\nAsk which country is meant.",
    ),
    Trio(
        "When summarising a long document\nKeep every figure and name exactly as written and leave opinions out.",
        "When summarising a long report\nKeep all figures and names exactly as they are written, and leave out opinions.",
        "When translating a long document\nTranslate headings first, and use the same term for the same thing throughout.",
    ),
    Trio(
        "When a refund is requested\nCheck the purchase date against the refund policy.",
        "When a refund is requested\n"
        "Check the purchase date against the refund policy. Tell the customer the last day on which a refund is possible.",
        "When a refund is requested\nPay it back to the card that the customer paid with, and say how long that takes.",
    ),
    Trio(
        "When a column can be NULL\nUse IS NULL to test it, since comparing with = never matches.",
        "When a column can be NULL\n"
        "Use IS NULL to test it, since comparing with = never matches. Wrap it in COALESCE where a default makes sense.",
        "When a column holds dates as text\nCast it to a date before sorting or comparing.",
    ),
    Trio(
        "When an object has to be found in a house\nVisit the likeliest places first and remember which ones you have opened.",
        "When an object has to be found in a house\n"
        "Visit the likeliest places first, such as shelves and drawers, remember which ones you have opened, and do not go back "
        "to them.",
        "When an object has to be heated\nCarry it to the microwave, and open the door before putting it in.",
    ),
    Trio(
        "When a page of results is cut off\nRequest the next page until there is no cursor left.",
        "When a page of results of an API is cut off\n"
        "Request the next page with the cursor of the previous one until there is no cursor left, then join the pages.",
        "When an API answers that there were too many requests\nWait for as long as the header says, then go on.",
    ),
    Trio(
        "When an equation has several candidate solutions\nPut each back into the equation and drop those that fail.",
        "When an equation has several candidate solutions\n"
        "Put each back into the original equation and drop those that fail; mind values that make a denominator zero.",
        "When a word problem mixes units\nConvert everything to one unit before calculating.",
    ),
    Trio(
        "When choosing a product for a buyer\n"
        "Match every attribute that was asked for, such as size and colour, before looking at the price.",
        "When choosing a product for a buyer in a web shop\n"
        "Match every attribute that was asked for, such as size and colour, before looking at the price. Open the product page "
        "to see the options.",
        "When a product is out of stock\nSuggest the closest alternative and say in what it differs.",
    ),
)
