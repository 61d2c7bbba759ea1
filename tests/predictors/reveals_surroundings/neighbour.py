NAME = "next door"
