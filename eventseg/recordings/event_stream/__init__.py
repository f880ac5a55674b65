"""Reader of Event Stream recordings (``.es``)."""
