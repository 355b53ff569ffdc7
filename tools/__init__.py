"""What stands around the zoo: model cards, and publishing to the Hub."""
