"""Checksums of the models that ship with the package.

A folder says itself what its files should be; of those that come with the
code the code says it, so that nobody can change both. After a change of
shipped weights, a test prints the lines to put here.
"""

SUMS = {
    "background_subtraction": {
        "config.gin": (
            "c5d91ac643c7ef22dedeaaaa6a291b79e30a1b0b42a0fe588beaaecee6ae51f4"
        ),
        "model.json": (
            "ab23788e0de975777815f9473b32c7b04823b7156119389ae5baa00df0225632"
        ),
        "weights.weights.h5": (
            "e206435849a47e81d0dafa4db136fd2400acf1394ae8b16cb2ec92d566e01fa7"
        ),
    },
    "connected_components": {
        "config.gin": (
            "3fc7e806eb1361910d50afae6cd47e2a5c92ba25a530d3c4d18c260d2910367e"
        ),
        "model.json": (
            "dad292b7d23927b2ead8693cbaad70759acb1e10df71e680a5c3c8370cafc059"
        ),
        "weights.weights.h5": (
            "4afb6439468079c1c7feb657c34fb05e6932f53b234f4f3a7432e5eb113c85a7"
        ),
    },
    "ddpae_digits_quick": {
        "config.gin": (
            "a88d22b11a300388b89b1849426013dda0cb26053efe9de3a909088cacbef711"
        ),
        "model.json": (
            "134e022560e58e19b3686915e8a31066f010956225419a592e5915794e94743f"
        ),
        "weights.weights.h5": (
            "1567ce5d1679a0af35f9fd10eb9c9d5ecb0097f63a66209bc67556e8e4bbaafa"
        ),
    },
    "dvip_digits_quick": {
        "config.gin": (
            "b9def496a0200eb620c015c4119905a4110faa2c9994fce85443113144948457"
        ),
        "model.json": (
            "fff465702f630198a541cce3b89b165776bf2eacfd08eebee271906c0a078362"
        ),
        "weights.weights.h5": (
            "0ea1d2f75388cedb46cc5cf13f76727505a026cf785915385d9b649bc564297b"
        ),
    },
    "entangled_digits_quick": {
        "config.gin": (
            "31a285230285a030407a90796dbb9a7bb29a334b2fb345c96ff0161d1ea11c31"
        ),
        "model.json": (
            "23974b2221eee06135b7519118d6eba7100928c6f184ac32a34435509a518bcb"
        ),
        "weights.weights.h5": (
            "2fe7bda62e3a0cd696eb60abfb466bdd4974bf7982e635aa06287ae99fb431ff"
        ),
    },
    "iodine_balls_quick": {
        "config.gin": (
            "a07b9f944941e3cf5f794eb840b32b7181a981066f91802cb1f7660c5a188d77"
        ),
        "model.json": (
            "437f9f1579318cee849fd529ed03ce1fb694839c83b5fcd7b3e974b5fcbae600"
        ),
        "weights.weights.h5": (
            "6e760066109558468fcdb6a3f9870662a222e0e05ff1ba3ce58f6f31d29f0c58"
        ),
    },
    "iodine_multi_dsprites_quick": {
        "config.gin": (
            "886be91754a7730c721bec20cd11b13a764d5f0f8cdcef9842be5f8fe0955972"
        ),
        "model.json": (
            "4e611dd9f5921b92d492b4623e034bd9de3cd8164b680d146f90efcfb64a9616"
        ),
        "weights.weights.h5": (
            "c588a03494b56e9148043d33fb7b20b50dfa2eb2f7c1f0a6e8ea0cc8c5faa432"
        ),
    },
    "iodine_tetrominoes": {
        "config.gin": (
            "dd3b97af4f8fc9722d0070340e1502a5d7d676509c82f19317eac72ee3ef5a64"
        ),
        "model.json": (
            "2c31601b0a20e5840ad39443f12b78891801df978a21f7a74d501659bccbc19a"
        ),
        "weights.weights.h5": (
            "26bc696a68f1070caa35aaaa93dc38ee22731d65660e99719c5a78724b2a91f6"
        ),
    },
    "iodine_tetrominoes_quick": {
        "config.gin": (
            "e9b23cdce275d49a3db7c42854ee9133463316c5659246b89a815b3d4720c003"
        ),
        "model.json": (
            "072c885d31f0072f106e1bae9ecb503974f99a55c75d708a684acbc949b5660d"
        ),
        "weights.weights.h5": (
            "a07ace545917853e63f4a501f578a5c9eb3d2ad9d30bec048a27fe9509966d4b"
        ),
    },
    "lavae_digits_quick": {
        "config.gin": (
            "6c90a9d08c4b280032eacbb9d208ed7d04f0ef283b6ef6054b6f8fa2f3fa09f8"
        ),
        "model.json": (
            "702c941949334362a9f402004b918dc540aee55451fad3583a5ed111fc26584d"
        ),
        "weights.weights.h5": (
            "1c87b3c4abf220283c90addb4cdca9fd90f58ffd9dba324238c0316ffc422fed"
        ),
    },
    "lavae_mnist": {
        "config.gin": (
            "f127f1a4b0797e61061fd089ee76de8a1829d11fc945d9e3f13e9b58033392b1"
        ),
        "model.json": (
            "ae0032dcb7ae50c7108ab70b04d712318a6dcf01e62e016c6c855e5f1c77fc02"
        ),
        "weights.weights.h5": (
            "01b0a8d2069d42d6595cd054a0c74823de1057f8b9d5d10abd85a71fb8872dc5"
        ),
    },
    "provide_balls": {
        "config.gin": (
            "3fa0e92a9127c98666ef326110d53b223618266dc4cd75e84e08207eb8b7d84a"
        ),
        "model.json": (
            "b9995a0877b4c2f03a0800762bf6e76e742ab6a952c6492eb049d5e393c3d55c"
        ),
        "weights.weights.h5": (
            "5140c5a7fda956283cfb2487de664858b1541f52a8e694be847e8c561232828f"
        ),
    },
    "provide_balls_quick": {
        "config.gin": (
            "62d2fdd35287803af476fa22b6aa953f620f578d90957b3f7c75d4e37338a2fa"
        ),
        "model.json": (
            "b1903cb067219d908e205d74a18a222439ee660d800ae9d91e5bab8a58016e67"
        ),
        "weights.weights.h5": (
            "f33cc6d44edb7c70f3da0f72d1a180672c4937ba133971d018e67dc77645ae7a"
        ),
    },
    "rnem_balls_quick": {
        "config.gin": (
            "d206121d69ff32d184cdd39858acc900671827ce4712c4dbfe4b9125642e44d3"
        ),
        "model.json": (
            "e394e39cea1b3a804eb76c4f44974d8224459b4fde7208f1c4f0039b16e1b1fe"
        ),
        "weights.weights.h5": (
            "4cc94e45cc7e91bb52e1315cda14a93ce9d7d8a0f365805987b752934d38c638"
        ),
    },
    "seq_iodine_balls_quick": {
        "config.gin": (
            "441c38e2abb7039e5e321284c7cf7f0e63acdda2e65cbec33165db0e1ee08a4d"
        ),
        "model.json": (
            "374c0d05f40f7fe1d9ec4aca5f65c5df9d22ca1e9ba30e853b36c9cb55fe7047"
        ),
        "weights.weights.h5": (
            "f14bc6665a61d9b375077a05c15489e26ca9d8b3a8cab6ff773f4c9b7e3dc539"
        ),
    },
    "silot_mnist": {
        "config.gin": (
            "36cd446b128341de632a531e5788bcbf7066c7b7c7fe62a3c6635887c1d6b87c"
        ),
        "model.json": (
            "79ee69f1ef1f3c88eb18a569d4846e2bdacd3b9631b182402be4a9a152ae6278"
        ),
        "weights.weights.h5": (
            "e9358aadfde23be94fa2430e917b718d82716467a10c35320c33ae457e14bf0c"
        ),
    },
    "silot_motion": {
        "config.gin": (
            "6ab06927db064b7ae656ec34b1a569946221ebf6994031fe7faa18ffde66cd53"
        ),
        "model.json": (
            "606fd853fecac73720f329e3c1a55f86bdea6c4c67ec8c504f81587110df09ae"
        ),
        "weights.weights.h5": (
            "fece0d9ea384cc18d4b6835e9c516d67ad9865229628235386da44d2cb24e743"
        ),
    },
    "silot_quick": {
        "config.gin": (
            "3a7a2b4e6e0f04681364af39e99d2747ca25b48701c11707d025fe0412cd4ac6"
        ),
        "model.json": (
            "9b72b89c0135d8d92fa3e0585ea7b254a2a8c751ad394c7ab3e782ee5b70f09b"
        ),
        "weights.weights.h5": (
            "9668758348017ed1aadeb4ce5b397ac0d7394f32cf4d338dcb4c1920bf6a83e8"
        ),
    },
    "sqair_digits_quick": {
        "config.gin": (
            "849428dcf4465a37468caf9c5e5cbab585d2a8df3d8a86ee0ff448e7c9558a63"
        ),
        "model.json": (
            "d9fde205c835f0f1b5013a291a45c0d53d1e157a23762f8c38c5e8e8faf60a82"
        ),
        "weights.weights.h5": (
            "af9950ee89af3d5c34579e4e70d35264b2c6b708e40e9370a35355c067c26e5e"
        ),
    },
    "vae_digits_quick": {
        "config.gin": (
            "16d9c134ec33a32c3ad7ccaf57153ba2e5c3e08d7723e4089fa3f13038426186"
        ),
        "model.json": (
            "f6ca58a0d188b0d53a5138b10e243bc4a7fe07097236f5b8095f8eac88257d1f"
        ),
        "weights.weights.h5": (
            "0da9d8346845c15064a31f370bf689829d9ff316e46bbc51938051af145fa78d"
        ),
    },
}
