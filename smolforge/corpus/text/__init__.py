"""What text is made of: characters, words, language, features, and the native kernel that measures them."""
