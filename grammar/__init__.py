"""The grammar of the coord language, in the notation of Lark."""
