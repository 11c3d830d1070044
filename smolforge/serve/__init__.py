"""The HTTP server: OpenAI-compatible routes, task routes and the page, on one engine.

Input: HTTP requests, which are checked before anything is computed. Output: answers of the engine and of the tasks. The
server adds no intelligence: ``guard`` lets in, ``fields`` check, ``asking`` translates, ``routes`` answer.
"""
