package org.beexkeras

import kotlin.coroutines.CoroutineContext
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.withContext

/** Classifies a text away from the calling thread; errors as of [TextClassifier.classify]. */
suspend fun TextClassifier.await(text: String, context: CoroutineContext = Dispatchers.Default): Prediction =
    withContext(context) { classify(text) }

/** Classifies a pair of texts away from the calling thread. */
suspend fun TextClassifier.await(
    text: String,
    pair: String,
    context: CoroutineContext = Dispatchers.Default,
): Prediction = withContext(context) { classify(text, pair) }

/** Classifies texts away from the calling thread; a cancelled one ends after the text that it is at. */
suspend fun TextClassifier.await(
    texts: List<String>,
    context: CoroutineContext = Dispatchers.Default,
): List<Prediction> = withContext(context) {
    texts.mapIndexed { index, text ->
        ensureActive()
        answer("Text ${index + 1}", text, null)
    }
}

/** Classifies pairs of texts likewise; errors as of [TextClassifier.classify]. */
suspend fun TextClassifier.await(
    texts: List<String>,
    pairs: List<String>,
    context: CoroutineContext = Dispatchers.Default,
): List<Prediction> = withContext(context) {
    Texts.requireSameNumber(texts, pairs)
    texts.zip(pairs).mapIndexed { index, (text, pair) ->
        ensureActive()
        answer("Pair ${index + 1}", text, pair)
    }
}

/** The predictions of texts, in their order, as they come. */
fun TextClassifier.predictions(
    texts: Flow<String>,
    context: CoroutineContext = Dispatchers.Default,
): Flow<Prediction> = texts.map { classify(it) }.flowOn(context)
