"""The sentence that everything that bonescint shows or writes carries."""

RESEARCH_USE = "Research use only. Not a medical device."
