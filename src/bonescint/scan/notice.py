"""The sentence that stands on everything that bonescint shows or writes."""

RESEARCH_USE = "Research use only. Not a medical device."
